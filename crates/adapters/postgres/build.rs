//! A new migration is a new file, which the compiler would not notice by itself.

#[expect(clippy::print_stdout, reason = "cargo reads a build script's output")]
fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
