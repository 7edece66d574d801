//! Debian's packages, unpacked under the target directory.
//!
//! The system is not changed and needs no root: apt gets state of its own, in which nothing is installed, so that
//! it fetches every library as well, and the packages' programs run with those. Only the system's list of package
//! sources is used.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use xshell::{Cmd, Shell};

/// The place where the packages' libraries are, the dynamic linker among them.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// The time for which a program of the packages may run, in seconds. Nothing is expected to take this long; a busy
/// machine may.
const PATIENCE: &str = "300";

/// Packages, unpacked.
pub(crate) struct Packages {
    root: PathBuf,
}

impl Packages {
    /// The packages that are under `directory`, fetched if there are none: `wanted`, and what they depend on.
    pub(crate) fn get(shell: &Shell, directory: &Path, wanted: &[&str]) -> anyhow::Result<Self> {
        let root = directory.join("packages");
        if !root.is_dir() {
            println!("fetching {} and what they depend on", wanted.join(", "));
            let new = directory.join("packages.new");
            shell.remove_path(&new)?;
            fetch(shell, &new.join("apt"), wanted)?;
            let count = unpack(shell, &new.join("apt/archives"), &new)?;
            shell.remove_path(new.join("apt"))?;
            // Only now are they taken for complete.
            fs::rename(&new, &root)
                .with_context(|| format!("rename {} to {}", new.display(), root.display()))?;
            println!("{count} packages are in {}", root.display());
        }
        Ok(Self { root })
    }

    /// Returns where they are.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A command that runs `program` of the packages with their own libraries. It sees itself called `name`, for a
    /// program can be several in one.
    pub(crate) fn command<'a>(&self, shell: &'a Shell, name: &str, program: &str) -> Cmd<'a> {
        let libraries = self.libraries();
        // systemd has a library that only its own programs use.
        let path = format!("{0}:{0}/systemd", libraries.display());
        shell
            .cmd("timeout")
            .arg(PATIENCE)
            .arg(libraries.join("ld-linux-x86-64.so.2"))
            .args(["--argv0", name, "--library-path", &path])
            .arg(self.root.join("usr/bin").join(program))
    }

    /// Returns where the libraries are.
    pub(crate) fn libraries(&self) -> PathBuf {
        self.root.join(LIBRARIES)
    }
}

/// Fetches packages into `directory/archives`.
fn fetch(shell: &Shell, directory: &Path, wanted: &[&str]) -> anyhow::Result<()> {
    for part in ["lists/partial", "archives/partial"] {
        shell.create_dir(directory.join(part))?;
    }
    shell.write_file(directory.join("status"), "")?;
    let shown = directory.display();
    // The hooks that distributions and container images add to an update are for the system.
    let options = format!(
        "Dir::State \"{shown}\";\nDir::State::status \"{shown}/status\";\n\
         Dir::Cache \"{shown}\";\nDir::Cache::archives \"{shown}/archives\";\n\
         APT::Sandbox::User \"root\";\n#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n\
         Acquire::Languages \"none\";\nAcquire::Retries \"2\";\n\
         Acquire::http::Timeout \"30\";\n"
    );
    let config = directory.join("apt.conf");
    shell.write_file(&config, options)?;
    let apt =
        || shell.cmd("apt-get").arg("--config-file").arg(&config).args(["-qq", "-o", "Dpkg::Use-Pty=0"]);
    apt().arg("update").run()?;
    apt().args(["--yes", "--download-only", "--no-install-recommends", "install"]).args(wanted).run()?;
    Ok(())
}

/// Unpacks all packages of `archives` into `root`; returns how many there are.
fn unpack(shell: &Shell, archives: &Path, root: &Path) -> anyhow::Result<usize> {
    let packages: Vec<_> = shell.read_dir(archives)?.into_iter().filter(|file| is_package(file)).collect();
    ensure!(!packages.is_empty(), "apt-get succeeded and left no package in {}", archives.display());
    for package in &packages {
        shell.cmd("dpkg-deb").arg("--extract").arg(package).arg(root).quiet().run()?;
    }
    // Some packages have /bin, others /usr/bin: on an installed system they are one.
    for name in ["bin", "sbin", "lib", "lib64"] {
        let (directory, merged) = (root.join(name), root.join("usr").join(name));
        if directory.is_dir() && !directory.is_symlink() {
            shell.create_dir(&merged)?;
            let copy = shell.cmd("cp").args(["--archive", "--link"]).arg(directory.join(".")).arg(merged);
            copy.quiet().run()?;
            shell.remove_path(&directory)?;
        }
        if !directory.is_symlink() {
            symlink(Path::new("usr").join(name), directory)?;
        }
    }
    Ok(packages.len())
}

fn is_package(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "deb")
}
