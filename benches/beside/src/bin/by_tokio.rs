//! As the documentation of `tokio::signal::unix` has it: a stream for each signal.

use tokio::signal::unix::{SignalKind, signal};

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let (send, receive) = std::sync::mpsc::channel();
    for (kind, name) in [
        (SignalKind::terminate(), "SIGTERM"),
        (SignalKind::hangup(), "SIGHUP"),
        (SignalKind::interrupt(), "SIGINT"),
    ] {
        let guard = runtime.enter();
        let mut stream = signal(kind).expect("a handler");
        drop(guard);
        let send = send.clone();
        runtime.spawn(async move {
            while stream.recv().await.is_some() {
                send.send(name).ok();
            }
        });
    }
    beside::start_worker();
    beside::say("ready");
    let name = loop {
        if let Ok(name) = receive.try_recv() {
            break name;
        }
        beside::wait();
    };
    beside::say(&format!("heard {name}"));
    beside::say_interrupted();
}
