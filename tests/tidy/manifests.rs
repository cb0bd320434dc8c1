//! Manifests and lock files: everything comes from a registry, at a pinned version, and the SDK brings nobody along.

use crate::tree::{Breach, File, demand, files};

#[test]
fn every_crate_comes_from_the_registry() {
    demand(&git_sources(&files()), "a git dependency can change under us, and cannot be fetched everywhere");
}

#[test]
fn the_npm_lock_names_no_host() {
    demand(
        &lock_hosts(&files()),
        "keep `omit-lockfile-registry-resolved=true` in client-demo/.npmrc and run npm install again",
    );
}

#[test]
fn npm_versions_are_exact() {
    demand(&loose_versions(&files()), "two machines must build the same page");
}

#[test]
fn the_browser_sdk_depends_on_nobody() {
    demand(&run_time_dependencies(&files()), "who takes the SDK takes nothing else along");
}

fn git_sources(files: &[File]) -> Vec<Breach> {
    let locks = files.iter().filter(|file| file.path.ends_with("Cargo.lock"));
    locks
        .flat_map(|file| lines_with(file, |line| line.starts_with("source = \"git+"), "comes from git"))
        .collect()
}

fn lock_hosts(files: &[File]) -> Vec<Breach> {
    let locks = files.iter().filter(|file| file.path.ends_with("package-lock.json"));
    let from_host = |line: &str| line.trim_start().starts_with("\"resolved\": \"http");
    locks.flat_map(|file| lines_with(file, from_host, "names the host of a registry")).collect()
}

fn loose_versions(files: &[File]) -> Vec<Breach> {
    let manifests = files.iter().filter(|file| file.path.ends_with("package.json"));
    let loose = |line: &str| {
        let value = line.split_once("\": \"").map(|(_, value)| value).unwrap_or_default();
        value.starts_with('^')
            || value.starts_with('~')
            || value.starts_with("git")
            || value.starts_with("http")
    };
    manifests.flat_map(|file| lines_with(file, loose, "is no exact version")).collect()
}

fn run_time_dependencies(files: &[File]) -> Vec<Breach> {
    let manifest = files.iter().filter(|file| file.path == "client-demo/sdk/package.json");
    let declares =
        |line: &str| line.trim_start().starts_with("\"dependencies\"") || line.contains("peerDependencies");
    manifest.flat_map(|file| lines_with(file, declares, "declares run-time dependencies")).collect()
}

fn lines_with(file: &File, wrong: impl Fn(&str) -> bool, says: &str) -> Vec<Breach> {
    let lines = file.text.lines().enumerate().filter(|(_, line)| wrong(line));
    lines.map(|(index, line)| Breach::at(file, index + 1, format!("`{}` {says}", line.trim()))).collect()
}

#[cfg(test)]
mod proofs {
    use super::*;

    #[test]
    fn a_git_dependency_is_found() {
        let files = [File::made_up(
            "Cargo.lock",
            "[[package]]\nname = \"a\"\nsource = \"git+https://example.org/a\"\n",
        )];
        assert_eq!(git_sources(&files).len(), 1);
    }

    #[test]
    fn a_registry_host_in_the_npm_lock_is_found() {
        let files = [File::made_up(
            "client-demo/package-lock.json",
            "  \"resolved\": \"https://example.org/a.tgz\",\n",
        )];
        assert_eq!(lock_hosts(&files).len(), 1);
    }

    #[test]
    fn a_loose_version_is_found() {
        let files = [File::made_up(
            "client-demo/package.json",
            "  \"a\": \"^1.0.0\",\n  \"b\": \"1.0.0\",\n  \"c\": \"~2\"\n",
        )];
        assert_eq!(loose_versions(&files).len(), 2);
    }

    #[test]
    fn a_dependency_of_the_sdk_is_found() {
        let files = [File::made_up("client-demo/sdk/package.json", "  \"dependencies\": {\n")];
        assert_eq!(run_time_dependencies(&files).len(), 1);
        let tools = [File::made_up("client-demo/sdk/package.json", "  \"devDependencies\": {\n")];
        assert_eq!(run_time_dependencies(&tools), []);
    }
}
