//! Runs steps one after the other, all of them whatever fails, and sums them up.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use crate::Result;

/// How a step that did not fail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    /// Not run, and why. Said loudly, since nothing is skipped in silence.
    NotRun(&'static str),
}

/// The steps run so far.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    done: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    name: &'static str,
    took: Duration,
    outcome: Result<Outcome>,
}

impl Steps {
    /// Runs a step that passes or fails.
    pub(crate) fn run(&mut self, name: &'static str, step: impl FnOnce() -> Result) {
        self.try_to_run(name, || step().map(|()| Outcome::Passed));
    }

    /// Runs a step that may find that it cannot be run here.
    pub(crate) fn try_to_run(&mut self, name: &'static str, step: impl FnOnce() -> Result<Outcome>) {
        println!("\n=== {name}");
        let start = Instant::now();
        let outcome = step();
        let step = Step { name, took: start.elapsed(), outcome };
        if let Err(error) = &step.outcome {
            println!("{error}");
        }
        println!("=== {}", step.line());
        self.done.push(step);
    }

    /// Prints once more why steps failed, the table and, as the last line, the sums.
    pub(crate) fn finish(&self) -> ExitCode {
        for (name, error) in self.done.iter().filter_map(|step| Some((step.name, step.outcome.as_ref().err()?))) {
            println!("\n=== {name}: {error}");
        }
        println!();
        for step in &self.done {
            println!("{}", step.line());
        }
        println!("{}", self.sums());
        self.code()
    }

    fn code(&self) -> ExitCode {
        if self.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn failed(&self) -> usize {
        self.done.iter().filter(|step| step.outcome.is_err()).count()
    }

    fn sums(&self) -> String {
        let passed = self.done.iter().filter(|step| matches!(step.outcome, Ok(Outcome::Passed))).count();
        format!("{passed} passed, {} failed", self.failed())
    }
}

impl Step {
    fn line(&self) -> String {
        let result = match &self.outcome {
            Ok(Outcome::Passed) => "passed".to_owned(),
            Ok(Outcome::NotRun(why)) => format!("NOT RUN: {why}"),
            Err(_) => "FAILED".to_owned(),
        };
        format!("{:<28} {:>7.1} s  {result}", self.name, self.took.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(outcomes: Vec<Result<Outcome>>) -> Steps {
        let step = |outcome| Step { name: "a step", took: Duration::from_millis(1500), outcome };
        Steps { done: outcomes.into_iter().map(step).collect() }
    }

    #[test]
    fn one_failure_fails_the_whole() {
        let steps = steps(vec![Ok(Outcome::Passed), Err("no".into()), Ok(Outcome::Passed)]);
        assert_eq!(steps.sums(), "2 passed, 1 failed");
        assert_eq!(steps.code(), ExitCode::FAILURE);
        assert!(steps.done[1].line().ends_with("1.5 s  FAILED"));
    }

    #[test]
    fn what_was_not_run_has_neither_passed_nor_failed_and_says_why() {
        let steps = steps(vec![Ok(Outcome::Passed), Ok(Outcome::NotRun("no network"))]);
        assert_eq!(steps.sums(), "1 passed, 0 failed");
        assert_eq!(steps.code(), ExitCode::SUCCESS);
        assert!(steps.done[1].line().ends_with("NOT RUN: no network"));
    }
}
