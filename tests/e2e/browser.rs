//! Real browsers without a driver: a page is opened in a fresh profile, does its work and posts what it
//! found to where it came from.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};
use tempfile::TempDir;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Browser {
    Chromium,
    Firefox,
}

impl Browser {
    /// Opens `url` in a headless browser with a profile of its own.
    ///
    /// # Panics
    /// When the browser is not installed.
    pub(crate) fn open(self, url: &str) -> Running {
        let profile = tempfile::tempdir().unwrap();
        let mut command = match self {
            Self::Chromium => chromium(profile.path()),
            Self::Firefox => firefox(profile.path()),
        };
        command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // Fresh settings must not depend on, nor touch, those of whoever runs the tests.
        command.env("HOME", profile.path()).env("XDG_RUNTIME_DIR", profile.path()).process_group(0);
        let child = command.spawn().unwrap_or_else(|error| panic!("{self:?} does not start: {error}"));
        Running { child, _profile: profile }
    }
}

/// A browser; ends, with all its processes, when dropped.
pub(crate) struct Running {
    child: Child,
    _profile: TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

/// Serves one page on `http://localhost:<port>/`, a secure context, and takes its result.
pub(crate) struct PageServer {
    listener: TcpListener,
}

impl PageServer {
    pub(crate) fn bind() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    /// The origin of the page.
    pub(crate) fn origin(&self) -> String {
        format!("http://localhost:{}", self.listener.local_addr().unwrap().port())
    }

    /// Opens the page in `browser` and waits for what it posts to `/result`.
    pub(crate) fn run(self, browser: Browser, page: &str, deadline: Duration) -> String {
        let url = format!("{}/", self.origin());
        let (found, results) = mpsc::channel();
        let page = page.to_owned();
        // Ends with the process: it only waits for connections.
        thread::spawn(move || {
            for stream in self.listener.incoming().flatten() {
                if let Some(result) = serve(&stream, &page) {
                    let _ = found.send(result);
                }
            }
        });
        let running = browser.open(&url);
        let result = results.recv_timeout(deadline);
        drop(running);
        result.unwrap_or_else(|_| panic!("{browser:?} posted no result within {deadline:?}"))
    }
}

/// Answers one request; the body if it was a result.
fn serve(stream: &TcpStream, page: &str) -> Option<String> {
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    reader.read_line(&mut request).ok()?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (status, answer) = match request.split(' ').nth(1)? {
        "/" => ("200 OK", page),
        "/result" => ("200 OK", ""),
        _ => ("404 Not Found", ""),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        answer.len()
    );
    let mut stream = stream;
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(answer.as_bytes()).ok()?;
    request.starts_with("POST /result").then(|| String::from_utf8_lossy(&body).into_owned())
}

fn chromium(profile: &Path) -> Command {
    let mut command = Command::new("chromium");
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"])
        .arg(format!("--user-data-dir={}", profile.display()));
    command
}

fn firefox(profile: &Path) -> Command {
    let settings = [
        ("browser.aboutwelcome.enabled", "false"),
        ("browser.shell.checkDefaultBrowser", "false"),
        ("datareporting.policy.dataSubmissionEnabled", "false"),
        ("toolkit.telemetry.reportingpolicy.firstRun", "false"),
        ("app.update.enabled", "false"),
        ("extensions.update.enabled", "false"),
        ("network.captive-portal-service.enabled", "false"),
        ("network.connectivity-service.enabled", "false"),
    ];
    let lines: String =
        settings.iter().map(|(name, value)| format!("user_pref(\"{name}\", {value});\n")).collect();
    fs::write(profile.join("user.js"), lines).unwrap();
    let mut command = Command::new("firefox-esr");
    command.args(["--headless", "--no-remote", "--new-instance", "--profile"]).arg(profile);
    command
}
