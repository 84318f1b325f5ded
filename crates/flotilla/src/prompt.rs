//! Questions to the person at the terminal. A script is never asked: it says `--force` or gets an error.

use std::io::{self, IsTerminal};

use crate::exit::Failure;

/// Asks whether to go on with something destructive; `force` answers yes.
///
/// # Errors
/// The answer was no, or there is nobody to ask.
pub(crate) async fn confirm(question: &str, force: bool) -> Result<(), Failure> {
    if force {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(format!("{question} Nobody can be asked here: say --force")));
    }
    eprint!("{question} [y/N] ");
    match line().await?.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::Failed("nothing was changed".into())),
    }
}

/// Lets the user choose one of `choices`, by number or by name.
///
/// # Errors
/// There is nobody to ask (`missing` then says which argument to give), or the answer is not a choice.
pub(crate) async fn select(
    question: &str,
    choices: &[&str],
    missing: &str,
) -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(format!("{missing}; one of: {}", choices.join(", "))));
    }
    for (number, choice) in choices.iter().enumerate() {
        eprintln!("  {}) {choice}", number + 1);
    }
    eprint!("? {question} ");
    let answer = line().await?;
    chosen(&answer, choices)
        .ok_or_else(|| Failure::Usage(format!("{:?} is none of the choices", answer.trim())))
}

fn chosen(answer: &str, choices: &[&str]) -> Option<String> {
    let answer = answer.trim();
    let by_number = answer.parse::<usize>().ok().and_then(|n| choices.get(n.checked_sub(1)?));
    choices.iter().find(|&&choice| choice == answer).or(by_number).map(|&c| c.to_owned())
}

/// One line of standard input, read beside the runtime so that Ctrl-C is still heard.
async fn line() -> Result<String, Failure> {
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map(|_| line)
    });
    Ok(read.await.map_err(io::Error::other)??)
}

#[cfg(test)]
mod tests {
    use super::chosen;

    #[test]
    fn a_choice_is_made_by_number_or_by_name() {
        let choices = ["n4-c1", "n3-c1"];
        assert_eq!(chosen("2\n", &choices).as_deref(), Some("n3-c1"));
        assert_eq!(chosen("n4-c1\n", &choices).as_deref(), Some("n4-c1"));
        for answer in ["0", "3", "", "n5-c1"] {
            assert_eq!(chosen(answer, &choices), None, "{answer:?}");
        }
    }
}
