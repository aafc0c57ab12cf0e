use super::*;

fn record(line: &str) -> Record {
    parse(line).unwrap().record
}

fn problem(line: &str) -> String {
    parse(line).unwrap_err()
}

#[test]
fn all_forms_are_read() {
    assert_eq!(record(r#"{"text": "a"}"#), Record::Text { text: "a".into(), label: None });
    assert_eq!(
        record(r#"{"prompt": "a", "completion": "b"}"#),
        Record::Completion { prompt: "a".into(), completion: "b".into() }
    );
    assert_eq!(
        record(r#"{"instruction": "a", "output": "c"}"#),
        Record::Instruction { instruction: "a".into(), input: String::new(), output: "c".into() }
    );
    assert_eq!(
        record(r#"{"question": "a", "answer": "b", "text": "ignored"}"#),
        Record::Question { question: "a".into(), answer: "b".into() }
    );
}

#[test]
fn conversations_are_cut_before_the_first_answer() {
    let Record::Chat { prompt, completion } = record(
        r#"{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"},
            {"role": "assistant", "content": [{"type": "text", "text": "a"}]},
            {"role": "user", "content": "v"}, {"role": "assistant", "content": "b"}]}"#,
    ) else {
        panic!("no conversation")
    };
    assert_eq!(prompt, [Message::new("system", "s"), Message::new("user", "u")]);
    assert_eq!(completion.len(), 3);
    let trl = record(
        r#"{"prompt": [{"role": "user", "content": "u"}],
            "completion": [{"role": "assistant", "content": "a"}]}"#,
    );
    assert_eq!((trl.question().as_deref(), trl.answer().as_str()), (Some("u"), "a"));
    assert_eq!(trl.whole(), "u\na");
}

#[test]
fn labels_are_classes_or_values() {
    let label =
        |json: &str| record(&format!(r#"{{"text": "a", "label": {json}}}"#)).label().cloned();
    assert_eq!(label("\"good\""), Some(Label::Class("good".into())));
    assert_eq!(label("3"), Some(Label::Index(3)));
    assert_eq!(label("0.5"), Some(Label::Value(0.5)));
    assert_eq!(label("null"), None);
    assert!(problem(r#"{"text": "a", "label": [1]}"#).contains("a list"));
}

#[test]
fn what_is_said_about_a_record_is_kept() {
    let parsed = parse(r#"{"text": "a", "id": 7, "source": "s", "class": "c"}"#).unwrap();
    let about = (parsed.id.as_deref(), parsed.source.as_deref(), parsed.class.as_deref());
    assert_eq!(about, (Some("7"), Some("s"), Some("c")));
}

#[test]
fn wrong_lines_are_told() {
    assert!(problem("{").contains("no JSON"));
    assert!(problem("[1]").contains("a list"));
    assert!(problem("{}").contains("none of the fields"));
    assert!(problem(r#"{"prompt": "a"}"#).contains("has \"prompt\" and no \"completion\""));
    assert!(problem(r#"{"answer": "a"}"#).contains("has \"answer\" and no \"question\""));
    assert_eq!(record(r#"{"prompt": "a", "question": "b", "answer": "c"}"#).answer(), "c");
    assert!(problem(r#"{"prompt": "a", "completion": []}"#).contains("both lists of messages"));
    assert!(problem(r#"{"question": "a", "answer": 3}"#).contains("must be text, is a number"));
    let told = problem(r#"{"messages": [{"role": "user", "content": "a"}]}"#);
    assert!(told.contains("no answer"), "{told}");
    let told = problem(r#"{"messages": [{"role": "user"}]}"#);
    assert!(told.contains("message 1 of \"messages\" has no \"content\""), "{told}");
    assert!(problem(r#"{"messages": []}"#).contains("empty"));
    let user = r#"[{"role": "user", "content": "a"}]"#;
    let told = problem(&format!(r#"{{"prompt": {user}, "completion": {user}}}"#));
    assert!(told.contains("the assistant's come first"), "{told}");
}
