//! Rebuilds a release when the demo page that it embeds was built anew. Development builds read the page from the disk.

use std::path::Path;

fn main() -> std::io::Result<()> {
    use std::io::Write as _;
    let built = Path::new("client-demo/demo/dist");
    // While nothing is built there is nothing to watch but the place where it will appear.
    let watched = match std::env::var("PROFILE").as_deref() {
        Ok("release") if built.exists() => "client-demo/demo/dist",
        Ok("release") => "client-demo/demo",
        _ => "build.rs",
    };
    writeln!(std::io::stdout(), "cargo:rerun-if-changed={watched}")
}
