//! How the command is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |what| std::env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" {
        // The unwinder, of which a command that does what it should has no need: as a library of its own, to find and to load it took
        // longer than to read the arguments.
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
}
