//! Pools of records, clean and spoiled.

use edgeformer_core::random::Random;
use serde_json::json;

/// A question and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub question: String,
    pub answer: String,
}

/// What numbers are for.
const PICK: u64 = 1;
const ORDER: u64 = 2;

/// Spoiled records of a pool, by how they are spoiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spoiled {
    pub duplicates: usize,
    /// With the answer of another.
    pub exchanged: usize,
    pub off_topic: usize,
}

/// Clean records among spoiled ones. `fresh` are other clean records, that lose their answers to each
/// other, and `passages` are off topic; of both there are enough.
pub fn spoil(
    clean: &[Record],
    fresh: &[Record],
    passages: &[String],
    spoiled: Spoiled,
    seed: u64,
) -> Vec<Record> {
    let mut random = Random::of(seed, &[PICK]);
    let copies =
        (0..spoiled.duplicates).map(|copy| duplicate(&clean[random.below(clean.len())], copy));
    let mut pool: Vec<Record> = clean.iter().cloned().chain(copies).collect();
    pool.extend(exchanged(&fresh[..spoiled.exchanged]));
    pool.extend(passages[..spoiled.off_topic].iter().map(|passage| off_topic(passage)));
    Random::of(seed, &[ORDER]).shuffle(&mut pool);
    pool
}

/// The same, every second time politely.
fn duplicate(record: &Record, copy: usize) -> Record {
    match copy % 2 {
        0 => record.clone(),
        _ => Record {
            question: format!("{} Thank you.", record.question),
            answer: record.answer.clone(),
        },
    }
}

/// Every question with the answer of the next.
fn exchanged(records: &[Record]) -> Vec<Record> {
    let next = records.iter().cycle().skip(1);
    let pairs = records.iter().zip(next);
    let exchange = |(one, next): (&Record, &Record)| Record {
        question: one.question.clone(),
        answer: next.answer.clone(),
    };
    pairs.map(exchange).collect()
}

/// The first line of a passage as a question, the rest as its answer.
fn off_topic(passage: &str) -> Record {
    let (first, rest) = passage.split_once('\n').unwrap_or((passage, ""));
    Record { question: first.trim().to_owned(), answer: rest.trim().to_owned() }
}

/// Records as JSON Lines.
pub fn lines(records: &[Record]) -> String {
    let line = |record: &Record| {
        format!("{}\n", json!({ "question": record.question, "answer": record.answer }))
    };
    records.iter().map(line).collect()
}

/// Passages of a play of at least so many characters, cut between speeches.
pub fn passages(text: &str, least: usize) -> Vec<String> {
    let mut passages = vec![String::new()];
    for speech in text.split("\n\n") {
        if passages.last().is_some_and(|last| last.len() >= least) {
            passages.push(String::new());
        }
        let last = passages.last_mut().expect("it begins with one");
        last.push_str(speech.trim());
        last.push('\n');
    }
    passages
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(word: &str, count: usize) -> Vec<Record> {
        let record = |index| Record {
            question: format!("{word} {index}?"),
            answer: format!("{word} {index}."),
        };
        (0..count).map(record).collect()
    }

    #[test]
    fn clean_records_are_among_spoiled_ones() {
        let passages = vec!["A:\nNo.".to_owned(); 4];
        let (clean, fresh) = (records("clean", 8), records("fresh", 8));
        let spoiled = Spoiled { duplicates: 2, exchanged: 8, off_topic: 2 };
        let pool = spoil(&clean, &fresh, &passages, spoiled, 3);
        assert_eq!(pool.len(), 20);
        let count = |is: &dyn Fn(&Record) -> bool| pool.iter().filter(|one| is(one)).count();
        assert_eq!(count(&|one| clean.contains(one)), 8 + 1);
        assert_eq!(count(&|one| one.question.ends_with("Thank you.")), 1);
        assert_eq!(count(&|one| one.question == "A:" && one.answer == "No."), 2);
        let wrong = |one: &Record| {
            one.question.starts_with("fresh") && one.question[..7] != one.answer[..7]
        };
        assert_eq!(count(&wrong), 8);
    }

    #[test]
    fn passages_lose_no_speech() {
        let found = passages("A:\nOne.\n\nB:\nTwo.\n\nC:\nThree.\n", 10);
        assert_eq!(found, ["A:\nOne.\nB:\nTwo.\n", "C:\nThree.\n"]);
    }
}
