//! What was found, as a page: so that figures are made and not typed.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use odradek_bench::report::save;

use super::survey::Survey;

pub(super) fn write(path: &Path, page: &str) -> anyhow::Result<()> {
    save::write(path, page.as_bytes())
}

/// When and by what a page was made.
pub(super) fn made() -> String {
    format!(
        "{}, commit {}, {} build",
        jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC"),
        commit(),
        match cfg!(debug_assertions) {
            true => "debug",
            false => "release",
        },
    )
}

pub(super) fn page(survey: &Survey) -> String {
    let (first, last) = (survey.seeds.start, survey.seeds.end.saturating_sub(1));
    let count = survey.seeds.end - first;
    let mut page = format!(
        "# Simulated seeds\n\n\
         Made by `odradek sim --seed {first} --seeds {}{} --record`, {}.\n\n\
         {} seeds ({first} to {last}), {} of them failed; {:.1} hours of simulated time, in {:.0} \
         minutes.\n",
        count,
        match survey.hours {
            0.0 => String::new(),
            hours => format!(" --hours {hours}"),
        },
        made(),
        count,
        survey.failed.len(),
        survey.all.nanos as f64 / 3.6e12,
        survey.took.as_secs_f64() / 60.0,
    );
    if !survey.failed.is_empty() {
        page.push_str("\nFailed:\n\n");
    }
    for (seed, failure) in &survey.failed {
        let why = failure.why.lines().next().unwrap_or_default();
        writeln!(page, "- {seed}: {why}").expect("text");
    }
    page.push_str("\n| what there was | how often |\n|---|---:|\n");
    for (what, count) in &survey.all.counts {
        writeln!(page, "| {what} | {count} |").expect("text");
    }
    page
}

/// Of the working directory's repository.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=10", "HEAD"]) else {
        return "unknown".to_owned();
    };
    match git(&["status", "--porcelain", "-uno"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => format!("{commit} with changes"),
    }
}
