//! A short run of the tool itself: faults fire, the load works, the checker has something to check.

use std::time::Duration;

use anyhow::{Result, ensure};
use flotilla_chaos::check::check;
use flotilla_chaos::history::History;
use flotilla_chaos::plan::{self, Kind, Plan};
use flotilla_chaos::report::Report;
use flotilla_chaos::run::{Options, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_run_with_kills_and_bad_links_is_clean_and_worth_something() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let kinds = vec![Kind::Kill, Kind::Link];
    let options = Options {
        plan: Plan::draw(&plan::Options { seed: 1, servers: 3, kinds }),
        length: Duration::from_secs(6),
        pace: Duration::from_millis(20),
        dir: dir.path().to_owned(),
    };
    let Some(ran) = run(&options).await? else { return Ok(()) };
    let history = History::read(&ran.history)?;
    let report = Report::new(1, &history, check(&history), &ran.faults, ran.unhealed.clone());
    println!("{report}");
    ensure!(report.passes(), "{report}");
    Ok(())
}
