//! The table of docs/curation.md.

use std::fmt::Write;

use super::condition::Condition;
use super::runs::Learned;
use super::task::Task;

/// A table in Markdown, and what it says of curation.
pub fn table(task: Task, results: &[Learned]) -> String {
    let mut text = String::new();
    let mut line = |line: String| writeln!(text, "{line}").expect("a String takes everything");
    line(format!("\n{}, {} by seeds 0 to {}\n", task.name(), measure(task), last_seed(results)));
    line(
        "| learned from | records | tokens | choosing, s | steps, s | mean | deviation | seeds | greedy |"
            .into(),
    );
    line("|---|---|---|---|---|---|---|---|---|".into());
    for Learned { condition, scores, greedy, seconds, tokens, choosing, records } in results {
        let each: Vec<String> = scores.iter().map(|&score| shown(task, score)).collect();
        let greedy = if greedy.is_empty() { "".into() } else { shown(task, mean(greedy)) };
        line(format!(
            "| {} | {records} | {tokens} | {choosing:.1} | {:.1} | {} | {} | {} | {greedy} |",
            condition.name(),
            mean(seconds),
            shown(task, mean(scores)),
            shown(task, deviation(scores)),
            each.join(" ")
        ));
    }
    let of = |wanted| results.iter().find(|one| one.condition == wanted);
    if let (Some(curated), Some(random)) = (of(Condition::Curated), of(Condition::Random)) {
        let margin = better(task, mean(&curated.scores), mean(&random.scores));
        let most = deviation(&curated.scores).max(deviation(&random.scores));
        line(format!(
            "\ncurated is better than random by {}, {:.1} times the larger deviation",
            shown(task, margin),
            margin / most.max(1e-9)
        ));
    }
    if let (Some(curated), Some(clean)) = (of(Condition::Curated), of(Condition::Clean)) {
        let share = match task {
            Task::Gsm8k => mean(&clean.scores) / mean(&curated.scores),
            Task::Arithmetic => mean(&curated.scores) / mean(&clean.scores).max(1e-9),
        };
        line(format!(
            "it reaches {:.1} % of what the clean pool gives, in {:.1} % of the time of its steps \
             ({:.1} % with choosing)",
            100.0 * share,
            100.0 * mean(&curated.seconds) / mean(&clean.seconds),
            100.0 * (mean(&curated.seconds) + curated.choosing) / mean(&clean.seconds)
        ));
    }
    text
}

fn measure(task: Task) -> &'static str {
    match task {
        Task::Gsm8k => "mean loss of held-out solutions in nats a token (lower is better)",
        Task::Arithmetic => "right answers in percent, sampled as `generate` does",
    }
}

/// How much better the first is.
fn better(task: Task, one: f64, other: f64) -> f64 {
    match task {
        Task::Gsm8k => other - one,
        Task::Arithmetic => one - other,
    }
}

fn shown(task: Task, score: f64) -> String {
    match task {
        Task::Gsm8k => format!("{score:.4}"),
        Task::Arithmetic => format!("{:.1}", 100.0 * score),
    }
}

fn last_seed(results: &[Learned]) -> usize {
    results.iter().map(|one| one.scores.len()).max().unwrap_or(1) - 1
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// That of a sample.
fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (values.len() - 1).max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(condition: Condition, scores: &[f64], seconds: f64) -> Learned {
        let (scores, greedy) = (scores.to_vec(), vec![0.9]);
        let seconds = vec![seconds; scores.len()];
        Learned { condition, scores, greedy, seconds, tokens: 9, choosing: 1.0, records: 3 }
    }

    #[test]
    fn margins_are_of_means_and_in_deviations() {
        let results = [
            learned(Condition::Random, &[0.2, 0.4], 10.0),
            learned(Condition::Curated, &[0.7, 0.7], 10.0),
            learned(Condition::Clean, &[0.7, 0.7], 50.0),
        ];
        let text = table(Task::Arithmetic, &results);
        assert!(
            text.contains("| random | 3 | 9 | 1.0 | 10.0 | 30.0 | 14.1 | 20.0 40.0 | 90.0 |"),
            "{text}"
        );
        assert!(text.contains("by 40.0, 2.8 times the larger deviation"), "{text}");
        assert!(text.contains("100.0 % of what"), "{text}");
        assert!(
            text.contains("in 20.0 % of the time of its steps (22.0 % with choosing)"),
            "{text}"
        );
    }
}
