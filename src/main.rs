//! The `graphopt` program.

fn main() -> std::process::ExitCode {
    graphopt::cli::main()
}
