//! The images as people build them: both Containerfiles, in all their stages, with the whole checkout as context.
//!
//! The builder is played: where the Rust image would be pulled from is an image with a shell and a `cargo` that looks at its
//! context and compiles nothing. So this sees what reaches a build and what comes of it, and not whether the sources compile.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use parlor_tests::programs::repository;
use serde_json::{Value, json};

use crate::text;

/// `cargo build --locked --release --package NAME`. A pinned toolchain would make rustup fetch another than the image's.
const CARGO: &str = "#!/bin/sh
set -e
test -e Cargo.lock
for left in target .git rust-toolchain.toml; do test ! -e $left || { echo \"$left is in the context\" >&2; exit 1; }; done
mkdir -p target/release
echo built > target/release/$5
";
const BUILDER: &str = "docker.io/library/rust:1-alpine";

/// A store of images in a folder of its own; gone when dropped.
struct Store(PathBuf);

impl Store {
    fn new() -> Result<Self> {
        let root = std::env::temp_dir().join(format!("parlor-images-{}", std::process::id()));
        fs::create_dir_all(&root).context("make a folder for images")?;
        Ok(Self(root))
    }

    fn buildah(&self, arguments: &[&str]) -> Result<String> {
        let done = Command::new("buildah")
            .arg("--root")
            .arg(self.0.join("store"))
            .arg("--runroot")
            .arg(self.0.join("run"))
            .args(["--storage-driver", "vfs"])
            .args(arguments)
            .current_dir(repository())
            .output()
            .context("run buildah: is it installed?")?;
        ensure!(done.status.success(), "buildah {}: {}", arguments.join(" "), text(&done));
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    }

    fn build(&self, tag: &str, file: &str, context: &str) -> Result<()> {
        let how =
            ["bud", "--isolation", "chroot", "--layers=false", "--pull-never", "--tag", tag, "--file", file, context];
        self.buildah(&how).map(drop)
    }

    /// The image in place of the one with Rust.
    fn played_builder(&self) -> Result<()> {
        let root = self.0.join("builder");
        let bin = root.join("bin");
        fs::create_dir_all(&bin)?;
        fs::create_dir_all(root.join("etc/ssl/certs"))?;
        fs::write(root.join("etc/ssl/certs/ca-certificates.crt"), "roots")?;
        fs::copy("/bin/busybox", bin.join("busybox")).context("copy busybox: is busybox-static installed?")?;
        for name in ["sh", "cp", "mkdir", "test"] {
            symlink("busybox", bin.join(name))?;
        }
        for (name, script) in [("cargo", CARGO), ("apk", "#!/bin/sh\n")] {
            fs::write(bin.join(name), script)?;
            fs::set_permissions(bin.join(name), Permissions::from_mode(0o755))?;
        }
        let file = self.0.join("Containerfile");
        fs::write(&file, "FROM scratch\nCOPY . /\n")?;
        self.build(BUILDER, &file.to_string_lossy(), &root.to_string_lossy())
    }

    /// The files of an image.
    fn files(&self, image: &str) -> Result<Vec<String>> {
        let container = self.buildah(&["from", "--pull-never", image])?;
        let root = self.buildah(&["mount", container.trim()])?;
        let mut found = Vec::new();
        list(Path::new(root.trim()), Path::new(root.trim()), &mut found)?;
        found.sort();
        Ok(found)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        drop(self.buildah(&["rm", "--all"]));
        drop(self.buildah(&["rmi", "--all", "--force"]));
        drop(fs::remove_dir_all(&self.0));
    }
}

fn list(root: &Path, folder: &Path, found: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(root, &path, found)?;
        } else {
            found.push(path.strip_prefix(root)?.display().to_string());
        }
    }
    Ok(())
}

#[test]
fn both_images_are_built_from_a_checkout_and_hold_one_program_that_runs_as_nobody() -> Result<()> {
    let store = Store::new()?;
    store.played_builder()?;
    for name in ["gateway", "operator"] {
        let (image, program) = (format!("localhost/{name}:test"), format!("parlor-{name}"));
        store.build(&image, &format!("{name}/Containerfile"), ".")?;
        let said: Value = serde_json::from_str(&store.buildah(&["inspect", "--type", "image", &image])?)?;
        let config = &said["OCIv1"]["config"];
        ensure!(config["Entrypoint"] == json!([program]) && config["User"] == "65532:65532", "{config}");
        let program = format!("usr/bin/{program}");
        let roots = "etc/ssl/certs/ca-certificates.crt".to_owned();
        let wanted = if name == "gateway" { vec![roots, program] } else { vec![program] };
        let files = store.files(&image)?;
        ensure!(files == wanted, "{image} holds {files:?}");
    }
    Ok(())
}
