//! placeholder
use std::thread;
/// proof
#[derive(Debug)]
pub struct Masked {
    _x: (),
}
impl Masked {
    /// Starts a thread.
    pub fn spawn(
        &self,
        name: &str,
        body: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<thread::JoinHandle<()>> {
        thread::Builder::new().name(name.to_string()).spawn(body)
    }
}
