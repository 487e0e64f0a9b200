//! `--metrics-listen`: `/metrics` and `/healthz` over HTTP, for one client at a time.
//!
//! The obvious way is a server from a library. But there are two pages and a few clients, and the machine is busy with the
//! job. So one thread answers one request after another and closes each connection. A slow client has two seconds.
//!
//! `/healthz` answers 200 while the supervisor's loop turns, and 503 when it has been silent for ten seconds. A thread that
//! always answers 200 would only prove that the thread is alive.
//!
//! There is no password and no TLS. So by default only programs of the same machine can connect.

use super::{Figures, locked, text};
use bivouac::signals::Masked;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long a client may take for its request, and for the answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many bytes of a request are read. A GET or HEAD has no body.
const LARGEST: usize = 8 * 1024;

/// If the supervisor has reported nothing for this long, its loop counts as hanging. Usually it reports ten times a second.
const SILENCE: Duration = Duration::from_secs(10);

/// The thread that answers. Dropping this closes the address.
pub(super) struct Listener {
    address: SocketAddr,
    is_closed: Arc<AtomicBool>,
}

impl Listener {
    pub(super) fn start(
        masked: &Masked,
        address: SocketAddr,
        figures: Arc<Mutex<Figures>>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let is_closed = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_closed);
        masked.spawn("metrics http", move || {
            for stream in listener.incoming() {
                match stream {
                    _ if ends.load(Ordering::Relaxed) => return,
                    Ok(stream) => drop(answer(stream, &figures)),
                    // For example too many open files. Later there may be fewer.
                    Err(_) => thread::park_timeout(Duration::from_millis(100)),
                }
            }
        })?;
        Ok(Self { address, is_closed })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Listener {
    /// A merge follows a shard in one process and needs the same address. The connection wakes the thread, which then sees
    /// that it must end.
    fn drop(&mut self) {
        self.is_closed.store(true, Ordering::Relaxed);
        TcpStream::connect_timeout(&self.address, PATIENCE).ok();
    }
}

fn answer(mut stream: TcpStream, figures: &Mutex<Figures>) -> io::Result<()> {
    let until = Instant::now() + PATIENCE;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = Vec::new();
    let mut piece = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < LARGEST {
        let left = until.saturating_duration_since(Instant::now());
        // Zero is refused, because to the kernel it means "no timeout".
        stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        match stream.read(&mut piece)? {
            0 => break,
            read => request.extend_from_slice(&piece[..read]),
        }
    }
    let figures = locked(figures).clone();
    stream.write_all(&response(&request, &figures))
}

/// The whole answer to a request, head and body.
fn response(request: &[u8], figures: &Figures) -> Vec<u8> {
    let line = String::from_utf8_lossy(request.split(|byte| *byte == b'\r').next().unwrap_or_default());
    let mut words = line.split(' ');
    let (method, target, version) = (words.next(), words.next().unwrap_or_default(), words.next());
    let path = target.split('?').next().unwrap_or_default();
    let is_http = version.is_some_and(|version| version.starts_with("HTTP/1."));
    let (status, kind, body) = match (method, path) {
        _ if !is_http => ("400 Bad Request", PLAIN, "this is no request of HTTP/1\n".to_string()),
        (Some("GET" | "HEAD"), "/metrics") => ("200 OK", PROMETHEUS, text::of(figures)),
        (Some("GET" | "HEAD"), "/healthz") => health(figures),
        (Some("GET" | "HEAD"), _) => ("404 Not Found", PLAIN, "here are /metrics and /healthz\n".to_string()),
        (Some(_) | None, _) => ("405 Method Not Allowed", PLAIN, "only GET and HEAD\n".to_string()),
    };
    let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{allow}Connection: close\r\n\r\n",
        body.len()
    );
    let body = if method == Some("HEAD") { String::new() } else { body };
    (head + &body).into_bytes()
}

const PLAIN: &str = "text/plain; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

fn health(figures: &Figures) -> (&'static str, &'static str, String) {
    let silent = figures.seen.elapsed();
    let hangs = figures.progress.is_some() && figures.ended.is_none() && silent > SILENCE;
    match hangs {
        true => (
            "503 Service Unavailable",
            PLAIN,
            format!("the supervisor is silent since {} s\n", silent.as_secs()),
        ),
        false => ("200 OK", PLAIN, "ok\n".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bivouac::{Location, Progress};

    fn figures() -> Figures {
        Figures { progress: Some(Progress::default()), ..Figures::new("grep", &Location::Nowhere, None) }
    }

    fn first_line(request: &str, figures: &Figures) -> String {
        let answer = String::from_utf8(response(request.as_bytes(), figures)).unwrap();
        answer.split("\r\n").next().unwrap().to_string()
    }

    #[test]
    fn it_answers_two_paths_and_says_what_else_is_wrong() {
        for (request, status) in [
            ("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK"),
            ("GET /metrics?collect[]=x HTTP/1.0\r\n\r\n", "200 OK"),
            ("HEAD /healthz HTTP/1.1\r\n\r\n", "200 OK"),
            ("GET / HTTP/1.1\r\n\r\n", "404 Not Found"),
            ("POST /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
            ("\x16\x03\x01", "400 Bad Request"),
            ("", "400 Bad Request"),
        ] {
            assert_eq!(first_line(request, &figures()), format!("HTTP/1.1 {status}"), "{request:?}");
        }
        let head = response(b"HEAD /metrics HTTP/1.1\r\n\r\n", &figures());
        assert!(head.ends_with(b"\r\n\r\n"), "no body");
    }

    #[test]
    fn a_silent_supervisor_is_not_healthy_and_one_that_has_ended_may_be_silent() {
        let healthz = |figures: &Figures| first_line("GET /healthz HTTP/1.1\r\n\r\n", figures);
        let Some(long_ago) = Instant::now().checked_sub(SILENCE * 2) else { return };
        let mut figures = Figures { seen: long_ago, ..figures() };
        assert_eq!(healthz(&figures), "HTTP/1.1 503 Service Unavailable");
        figures.progress = None;
        assert_eq!(healthz(&figures), "HTTP/1.1 200 OK", "it has not begun");
    }
}
