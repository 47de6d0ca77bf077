//! All that fuzzing keeps, run again: what it found once is never found again.

use std::fs;
use std::path::{Path, PathBuf};

use wix_visitor_fuzzing::TARGETS;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn every_input_of_the_corpus_keeps_what_is_promised() {
    for (name, target) in TARGETS {
        let folder = fuzz().join("corpus").join(name);
        let inputs = names(&folder);
        assert!((1..200).contains(&inputs.len()), "{name} has {} inputs", inputs.len());
        for input in inputs {
            let bytes = fs::read(folder.join(&input)).unwrap();
            // Said before it panics, since the panic does not say which.
            println!("{name}/{input}");
            target(&bytes);
        }
    }
}

#[test]
fn what_is_nothing_or_large_keeps_it_too() {
    for (_, target) in TARGETS {
        for input in [&b""[..], &[0; 3000], &[b'{'; 3000], &[b'"'; 3000], &[0xff; 3000]] {
            target(input);
        }
    }
}

#[test]
fn every_target_has_a_program_and_a_corpus_and_nothing_else_has() {
    let targets: Vec<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&fuzz().join("corpus")), targets);
    let programs: Vec<_> = targets.iter().map(|name| format!("{name}.rs")).collect();
    assert_eq!(names(&fuzz().join("fuzz_targets")), programs);
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for target in targets {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "{target} is not built");
    }
}
