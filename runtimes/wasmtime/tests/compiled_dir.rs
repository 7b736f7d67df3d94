//! Modules that a runtime has compiled before.
#![cfg(unix)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rangewatch_bus::RangeWatchBus;
use rangewatch_runtime::{BuildError, ErrorChain, Guest, LoadError, Profile, Runtime, Val};
use rangewatch_wasmtime::{Wasmtime, WasmtimeBuilder, wasmtime};
use tempfile::TempDir;

const SEVEN: &str = "(module (func (export \"run\") (result i32) i32.const 7))";

/// A directory for compiled modules, inside of one that no other user can write.
fn dir() -> (TempDir, PathBuf) {
    let parent = tempfile::tempdir().expect("created");
    let dir = parent.path().join("compiled");
    (parent, dir)
}

fn build(builder: WasmtimeBuilder, dir: &Path) -> Wasmtime {
    let built = builder.compiled_dir(dir).build();
    built.unwrap_or_else(|error| panic!("{}", ErrorChain::new(&error)))
}

/// The text of the error of a directory that cannot be used.
fn refused(dir: impl AsRef<Path>) -> String {
    let builder = Wasmtime::builder().compiled_dir(dir.as_ref());
    let error = builder.build().expect_err("not private");
    assert!(matches!(error, BuildError::CompiledDir(_)), "{error}");
    ErrorChain::new(&error).to_string()
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("changed");
}

fn run(runtime: &dyn Runtime, text: &str) -> Vec<Val> {
    futures::executor::block_on(async {
        let wasm = wat::parse_str(text).expect("well formed");
        let module = runtime.load(&wasm).await.expect("valid");
        let bus = RangeWatchBus::new();
        let guest = Guest::builder(&module, &bus).instantiate().await;
        let guest = guest.expect("it imports nothing");
        guest.call("run", &[]).await.expect("it returns")
    })
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("readable");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("readable").path())
        .collect();
    files.sort();
    files
}

fn only_file(dir: &Path) -> PathBuf {
    let files = files(dir);
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

/// Another number after each write: a file is written under another name and moved.
fn inode(file: &Path) -> u64 {
    fs::metadata(file).expect("it exists").ino()
}

rangewatch_runtime::tests_within_deadline! {
    #[test]
    fn a_module_is_compiled_once() {
        let (_parent, dir) = dir();
        let runtime = build(Wasmtime::builder(), &dir);
        assert_eq!(run(&runtime, SEVEN), [Val::I32(7)]);
        let file = only_file(&dir);
        let written = inode(&file);
        assert_eq!(run(&runtime, SEVEN), [Val::I32(7)]);
        assert_eq!(run(&build(Wasmtime::builder(), &dir), SEVEN), [Val::I32(7)]);
        assert_eq!((only_file(&dir), inode(&file)), (file, written));
    }

    #[test]
    fn other_bytes_settings_and_profiles_have_files_of_their_own() {
        let (_parent, dir) = dir();
        run(&build(Wasmtime::builder(), &dir), SEVEN);
        let eight = SEVEN.replace('7', "8");
        assert_eq!(run(&build(Wasmtime::builder(), &dir), &eight), [Val::I32(8)]);
        run(&build(Wasmtime::builder().unmetered(), &dir), SEVEN);
        run(&build(Wasmtime::builder().profile(Profile::Extended), &dir), SEVEN);
        assert_eq!(files(&dir).len(), 4);
    }

    #[test]
    fn a_module_that_another_profile_has_compiled_is_validated() {
        let (_parent, dir) = dir();
        let text = "(module (func $f (export \"run\") (if (i32.const 0) (then (return_call $f)))))";
        // One engine, so that only the profiles differ.
        let mut config = wasmtime::Config::new();
        let engine = wasmtime::Engine::new(config.cranelift_nan_canonicalization(true));
        let engine = engine.expect("wasmtime supports this machine");
        let builder = || Wasmtime::builder().engine(engine.clone());
        run(&build(builder().profile(Profile::Extended), &dir), text);
        only_file(&dir);
        let wasm = wat::parse_str(text).expect("well formed");
        let baseline = build(builder(), &dir);
        let error = futures::executor::block_on(baseline.load(&wasm));
        let error = error.expect_err("outside of the profile");
        assert!(matches!(error, LoadError::OutsideOfProfile { .. }), "{error}");
    }

    #[test]
    fn a_module_is_read_with_its_imports_and_exports() {
        let (_parent, dir) = dir();
        let runtime = build(Wasmtime::builder(), &dir);
        let text = "(module (import \"env\" \"f\" (func (param i64))) (memory (export \"memory\") 3)
            (func (export \"_start\")) (func (export \"run\") (param f32) (result i32) i32.const 1))";
        let wasm = wat::parse_str(text).expect("well formed");
        let load = || futures::executor::block_on(runtime.load(&wasm)).expect("valid");
        let compiled = load();
        only_file(&dir);
        let read = load();
        assert_eq!(format!("{:?}", read.info()), format!("{:?}", compiled.info()));
        assert_eq!(read.info().memory_bytes(), 3 << 16);
        assert_eq!(read.info().imports().len(), 1);
    }

    #[test]
    fn a_damaged_file_is_replaced() {
        let (_parent, dir) = dir();
        let runtime = build(Wasmtime::builder(), &dir);
        run(&runtime, SEVEN);
        let file = only_file(&dir);
        let content = fs::read(&file).expect("readable");
        let middle = content.len() / 2;
        let damages: [fn(&mut Vec<u8>, usize); 7] = [
            |content, _| content.clear(),
            |content, _| content.truncate(63),
            |content, _| content.truncate(64),
            |content, middle| content.truncate(middle),
            |content, middle| content[middle] ^= 1,
            |content, _| content[0] ^= 1,
            |content, _| content.push(0),
        ];
        for (index, damage) in damages.into_iter().enumerate() {
            let mut damaged = content.clone();
            damage(&mut damaged, middle);
            fs::write(&file, damaged).expect("writable");
            let before = inode(&file);
            assert_eq!(run(&runtime, SEVEN), [Val::I32(7)], "damage {index}");
            assert_ne!(inode(&file), before, "damage {index}");
            assert!(fs::read(&file).expect("readable") == content, "damage {index}");
        }
    }

    #[test]
    fn a_file_of_another_module_under_the_same_name_is_not_used() {
        let (_parent, dir) = dir();
        let runtime = build(Wasmtime::builder(), &dir);
        run(&runtime, SEVEN);
        let seven = only_file(&dir);
        run(&runtime, &SEVEN.replace('7', "8"));
        let all = files(&dir);
        let eight = all.iter().find(|file| **file != seven).expect("two files");
        fs::copy(eight, &seven).expect("copied");
        assert_eq!(run(&runtime, SEVEN), [Val::I32(7)]);
    }

    #[test]
    fn a_file_that_others_could_write_is_not_used() {
        let (_parent, dir) = dir();
        let runtime = build(Wasmtime::builder(), &dir);
        run(&runtime, SEVEN);
        let file = only_file(&dir);
        for mode in [0o620, 0o602, 0o666] {
            chmod(&file, mode);
            let before = inode(&file);
            assert_eq!(run(&runtime, SEVEN), [Val::I32(7)]);
            assert_ne!(inode(&file), before, "{mode:o}");
            assert_eq!(fs::metadata(&file).expect("it exists").mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn what_is_no_regular_file_is_not_used() {
        let (parent, dir) = dir();
        let runtime = build(Wasmtime::builder(), &dir);
        run(&runtime, SEVEN);
        let file = only_file(&dir);
        // A link, even to a file with the right content.
        let elsewhere = parent.path().join("elsewhere");
        fs::rename(&file, &elsewhere).expect("moved");
        symlink(&elsewhere, &file).expect("linked");
        assert_eq!(run(&runtime, SEVEN), [Val::I32(7)]);
        assert!(fs::symlink_metadata(&file).expect("it exists").is_file());
        // A FIFO, which blocks an ordinary open.
        fs::remove_file(&file).expect("removed");
        let fifo = rustix::fs::FileType::Fifo;
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &file, fifo, mode, 0).expect("made");
        assert_eq!(run(&runtime, SEVEN), [Val::I32(7)]);
        assert!(fs::symlink_metadata(&file).expect("it exists").is_file());
        // A directory cannot be replaced by a file, and the module still runs.
        fs::remove_file(&file).expect("removed");
        fs::create_dir(&file).expect("created");
        assert_eq!(run(&runtime, SEVEN), [Val::I32(7)]);
        assert_eq!(files(&dir), [file]);
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused() {
        let (_parent, dir) = dir();
        for mode in [0o720, 0o702, 0o777, 0o1777] {
            fs::create_dir(&dir).expect("created");
            chmod(&dir, mode);
            let error = refused(&dir);
            assert!(error.contains("chmod go-w"), "{mode:o}: {error}");
            fs::remove_dir(&dir).expect("removed");
        }
    }

    #[test]
    fn a_directory_that_becomes_writable_is_no_longer_used() {
        let (_parent, dir) = dir();
        let runtime = build(Wasmtime::builder(), &dir);
        run(&runtime, SEVEN);
        let file = only_file(&dir);
        chmod(&dir, 0o777);
        // Would be used or replaced otherwise.
        fs::write(&file, b"forged").expect("writable");
        assert_eq!(run(&runtime, SEVEN), [Val::I32(7)]);
        assert_eq!(fs::read(&file).expect("readable"), b"forged");
    }

    #[test]
    fn a_parent_that_others_can_write_is_refused_unless_it_is_sticky() {
        let (parent, dir) = dir();
        let middle = parent.path().join("middle");
        let dir = middle.join(dir.file_name().expect("it has one"));
        fs::create_dir(&middle).expect("created");
        for mode in [0o770, 0o777] {
            chmod(&middle, mode);
            let error = refused(&dir);
            assert!(error.contains("above the directory and others can write"), "{error}");
        }
        chmod(&middle, 0o1777);
        run(&build(Wasmtime::builder(), &dir), SEVEN);
        only_file(&dir);
    }

    #[test]
    fn a_link_to_the_directory_is_resolved_before_it_is_checked() {
        let (parent, dir) = dir();
        let link = parent.path().join("link");
        symlink(&dir, &link).expect("linked");
        fs::create_dir(&dir).expect("created");
        chmod(&dir, 0o777);
        refused(&link);
        chmod(&dir, 0o700);
        run(&build(Wasmtime::builder(), &link), SEVEN);
        only_file(&dir);
    }

    #[test]
    fn a_directory_of_another_user_is_refused() {
        let (_parent, dir) = dir();
        // Root can give a directory away; another user has none of root's.
        let foreign = if rustix::process::geteuid().is_root() {
            fs::create_dir(&dir).expect("created");
            std::os::unix::fs::chown(&dir, Some(1), None).expect("changed");
            dir
        } else {
            PathBuf::from("/")
        };
        let error = refused(&foreign);
        assert!(error.contains("belongs to user"), "{error}");
        if rustix::process::geteuid().is_root() {
            let error = refused(foreign.join("inside"));
            assert!(error.contains("above the directory and belongs to user 1"), "{error}");
        }
    }

    #[test]
    fn a_path_that_cannot_be_a_directory_is_refused_by_name() {
        let (parent, _) = dir();
        let file = parent.path().join("file");
        fs::write(&file, b"").expect("writable");
        for path in [file.clone(), file.join("below"), PathBuf::from("\0")] {
            let error = refused(&path);
            assert!(error.contains("cannot be created"), "{error}");
            let name = path.display().to_string().escape_debug().to_string();
            assert!(error.contains(&name), "{error}");
        }
    }

    #[test]
    fn a_directory_is_created_for_its_user_alone() {
        let (parent, _) = dir();
        let dir = parent.path().join("a/b");
        build(Wasmtime::builder(), &dir);
        for dir in [dir.as_path(), dir.parent().expect("a")] {
            assert_eq!(fs::metadata(dir).expect("created").mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn modules_run_without_a_directory_that_can_be_written() {
        let (parent, dir) = dir();
        let runtime = build(Wasmtime::builder(), &dir);
        // Root may write in spite of the mode, so the directory is removed, too.
        chmod(&dir, 0o500);
        assert_eq!(run(&runtime, SEVEN), [Val::I32(7)]);
        fs::remove_dir_all(&dir).expect("removed");
        assert_eq!(run(&runtime, SEVEN), [Val::I32(7)]);
        assert_eq!(files(parent.path()), Vec::<PathBuf>::new());
    }

    #[test]
    fn two_threads_load_one_module_at_once() {
        let (_parent, dir) = dir();
        let shared = build(Wasmtime::builder(), &dir);
        for round in 0..8 {
            let text = SEVEN.replace('7', &round.to_string());
            let start = std::sync::Barrier::new(4);
            std::thread::scope(|scope| {
                for thread in 0..4 {
                    let (shared, text, start, dir) = (&shared, &text, &start, &dir);
                    scope.spawn(move || {
                        let own = (thread % 2 == 0).then(|| build(Wasmtime::builder(), dir));
                        start.wait();
                        assert_eq!(run(own.as_ref().unwrap_or(shared), text), [Val::I32(round)]);
                    });
                }
            });
        }
        // One file for each module, and no temporary one.
        let files = files(&dir);
        assert_eq!(files.len(), 8, "{files:?}");
    }
}
