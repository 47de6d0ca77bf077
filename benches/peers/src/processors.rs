//! What goes on one at a time goes on on one processor.
//!
//! Whoever asks for one thing after another waits for a server, or for a thread, that waits for the next question meanwhile. Where the
//! system puts the two on different processors, each wakes the other's, which takes longer than most of what is measured, and more so in a
//! virtual machine; where it puts them on the same, nobody is woken. Which it does is a matter of chance, and would be all that one sees.

use crate::Result;

/// What a row says of the same on one processor, where another is what counts.
pub(crate) const ON_ONE: &str = "× on one processor";

/// For as long as it lives, this program and all that it has started are on one processor.
#[derive(Debug)]
pub(crate) struct OneProcessor(#[cfg(target_os = "linux")] rustix::thread::CpuSet);

#[cfg(target_os = "linux")]
impl OneProcessor {
    pub(crate) fn hold() -> Result<Self> {
        use rustix::thread::{CpuSet, sched_getaffinity};

        let all = sched_getaffinity(None)?;
        let first = (0..CpuSet::MAX_CPU).find(|processor| all.is_set(*processor)).ok_or("there is no processor")?;
        let mut one = CpuSet::new();
        one.set(first);
        linux::put_on(&one)?;
        Ok(Self(all))
    }
}

#[cfg(target_os = "linux")]
impl Drop for OneProcessor {
    fn drop(&mut self) {
        // Worked a moment ago.
        let _ = linux::put_on(&self.0);
    }
}

/// Elsewhere they are where the system puts them.
#[cfg(not(target_os = "linux"))]
impl OneProcessor {
    pub(crate) fn hold() -> Result<Self> {
        Ok(Self())
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;

    use rustix::{
        io::Errno,
        process::Pid,
        thread::{CpuSet, sched_setaffinity},
    };

    use crate::Result;

    /// Puts every thread of this process, and of all below it, on these processors. A thread that is begun later is where the one is that
    /// begins it.
    pub(super) fn put_on(processors: &CpuSet) -> Result {
        // Of one's own it is there, unless this system does not tell.
        fs::read("/proc/thread-self/children")
            .map_err(|error| format!("whose child a process is, is not told: {error}"))?;
        let mut processes = vec![std::process::id().to_string()];
        while let Some(process) = processes.pop() {
            // Who has ended meanwhile is nowhere.
            let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { continue };
            for thread in threads.flatten() {
                let name = thread.file_name();
                let id = name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
                match sched_setaffinity(id, processors) {
                    Ok(()) | Err(Errno::SRCH) => {}
                    Err(error) => return Err(error.into()),
                }
                let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
                processes.extend(children.split_whitespace().map(str::to_owned));
            }
        }
        Ok(())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{
        process::{Command, Stdio},
        sync::mpsc,
        thread,
    };

    use rustix::{process::Pid, thread::sched_getaffinity};

    use super::*;

    #[test]
    fn threads_and_processes_that_are_there_are_put_on_one_processor_and_back() {
        let count = |pid| sched_getaffinity(pid).unwrap().count();
        let before = count(None);
        let (ask, asked) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let other = thread::spawn(move || asked.iter().for_each(|()| tell.send(count(None)).unwrap()));
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_raw(child.id().try_into().unwrap());
        let mut all = || {
            ask.send(()).unwrap();
            [count(None), told.recv().unwrap(), count(pid)]
        };
        {
            let _one = OneProcessor::hold().unwrap();
            assert_eq!(all(), [1; 3]);
        }
        assert_eq!(all(), [before; 3]);
        drop(ask);
        other.join().unwrap();
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
