use serde::Deserialize;

use super::functions::format_time;
use super::{ChatTemplate, Message, Variables};

const SOURCES: [(&str, &str); 13] = [
    ("chatml", include_str!("../../../tests/data/templates/chatml.jinja")),
    ("deepseek2", include_str!("../../../tests/data/templates/deepseek2.jinja")),
    ("deepseek3", include_str!("../../../tests/data/templates/deepseek3.jinja")),
    ("gemma2", include_str!("../../../tests/data/templates/gemma2.jinja")),
    ("gemma3", include_str!("../../../tests/data/templates/gemma3.jinja")),
    ("llama3", include_str!("../../../tests/data/templates/llama3.jinja")),
    ("llama31", include_str!("../../../tests/data/templates/llama31.jinja")),
    ("mistral", include_str!("../../../tests/data/templates/mistral.jinja")),
    ("phi3", include_str!("../../../tests/data/templates/phi3.jinja")),
    ("qwen2", include_str!("../../../tests/data/templates/qwen2.jinja")),
    ("qwen25", include_str!("../../../tests/data/templates/qwen25.jinja")),
    ("qwen3", include_str!("../../../tests/data/templates/qwen3.jinja")),
    ("zephyr", include_str!("../../../tests/data/templates/zephyr.jinja")),
];

#[derive(Deserialize)]
struct Case {
    template: String,
    messages: Vec<CaseMessage>,
    prompt: bool,
    text: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct CaseMessage {
    role: String,
    content: String,
}

fn template(name: &str) -> ChatTemplate {
    let (_, source) = SOURCES.iter().find(|(known, _)| *known == name).unwrap();
    ChatTemplate::new(source, "<s>", "</s>").unwrap()
}

fn render(source: &str) -> Result<String, String> {
    let template = ChatTemplate::new(source, "<s>", "</s>").map_err(|e| e.to_string())?;
    let messages = [Message::new("user", "Hi")];
    template.render(&messages, true, &Variables::new()).map_err(|e| e.to_string())
}

#[test]
fn known_templates_render_as_with_jinja2() {
    let cases = include_str!("../../../tests/data/templates.json");
    let cases: Vec<Case> = serde_json::from_str(cases).unwrap();
    assert!(cases.len() > 100);
    for case in cases {
        let messages: Vec<Message> =
            case.messages.iter().map(|m| Message::new(&m.role, &m.content)).collect();
        let variables = Variables::new().text("date_string", "26 Jul 2024");
        let text = template(&case.template).render(&messages, case.prompt, &variables);
        match (text, case.text, case.error) {
            (Ok(text), Some(expected), None) => assert_eq!(text, expected, "{}", case.template),
            (Err(error), None, Some(expected)) => {
                assert!(error.to_string().contains(&expected), "{}: {error}", case.template);
            }
            (text, expected, _) => panic!("{}: {text:?} but {expected:?}", case.template),
        }
    }
}

#[test]
fn variables_reach_the_template() {
    let messages = [Message::new("user", "Hi")];
    let off = Variables::new().flag("enable_thinking", false);
    let text = template("qwen3").render(&messages, true, &off).unwrap();
    assert!(text.ends_with("<|im_start|>assistant\n<think>\n\n</think>\n\n"), "{text:?}");
    let tools = r#"[{"name": "f<1>", "parameters": {"a": [1, 2.5, null]}}]"#;
    let tools = Variables::new().json("tools", tools).unwrap();
    let text = template("qwen25").render(&messages, true, &tools).unwrap();
    let expected = r#"<tools>
{"name": "f<1>", "parameters": {"a": [1, 2.5, null]}}
</tools>"#;
    assert!(text.contains(expected), "{text}");
    assert!(Variables::new().json("tools", "[").is_err());
}

#[test]
fn the_dialect_of_hugging_face_is_understood() {
    insta::assert_snapshot!(
        render("{% generation %}{{ messages[0].content }}{%- endgeneration -%} {{ ' a b '.strip().split(' ')[-1] }}").unwrap(),
        @"Hib"
    );
    insta::assert_snapshot!(
        render("{% for k, v in {'a': 1}.items() %}{{ k }}={{ v }}{% endfor %}").unwrap(),
        @"a=1"
    );
    insta::assert_snapshot!(
        render("{% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}").unwrap(),
        @"013"
    );
    insta::assert_snapshot!(render("{{ {'b': '<é>'}|tojson(indent=2, ensure_ascii=False) }}").unwrap(), @r#"
    {
      "b": "<é>"
    }
    "#);
    assert_eq!(render("{{ strftime_now('%Y') }}").unwrap().len(), 4);
}

#[test]
fn dates_are_those_of_the_calendar() {
    assert_eq!(format_time("%d %b %Y", 0), "01 Jan 1970");
    assert_eq!(
        format_time("%A %e %B %Y %H:%M:%S", 1_709_210_096),
        "Thursday 29 February 2024 12:34:56"
    );
    assert_eq!(format_time("%y-%m-%d %I%p 100%% %Q %", 1_735_689_599), "24-12-31 11PM 100% %Q %");
}

#[test]
fn templates_without_end_are_stopped() {
    let loops = "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}";
    let doubles = "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}";
    let prints = "{% for i in range(100000) %}{{ 'a long line of text that goes on and on' * 100 }}{% endfor %}";
    let recursive = "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}";
    insta::assert_snapshot!(render(loops).unwrap_err(), @"the chat template runs without end: stopped after 1000000 steps");
    insta::assert_snapshot!(render(doubles).unwrap_err(), @"the chat template runs without end: stopped after 1000000 steps");
    insta::assert_snapshot!(render(prints).unwrap_err(), @"the chat template prints without end: stopped at 1048672 bytes");
    insta::assert_snapshot!(render(recursive).unwrap_err(), @"the chat template fails: invalid operation: recursion limit exceeded (line 1 of the chat template)");
}

#[test]
fn values_may_nest_as_deep_as_the_steps_allow() {
    let nested = |value: &str, printed: &str| {
        let set = format!("{{% set ns.x = {value} %}}");
        let first = "{% set ns = namespace(x=0) %}{% for i in range(60000) %}";
        render(&format!("{first}{set}{{% endfor %}}{{{{ {printed} }}}}"))
    };
    for (value, printed) in
        [("[ns.x]", "ns.x"), ("{'a': ns.x}", "ns.x|tojson"), ("[ns.x]", "ns.x == [ns.x]")]
    {
        let text = nested(value, printed);
        assert!(text.as_ref().is_ok_and(|text| !text.is_empty()), "{printed}: {text:?}");
    }
}

#[test]
fn errors_are_one_line_with_the_place() {
    insta::assert_snapshot!(render("a\n{% if %}").unwrap_err(), @"the chat template fails: syntax error: unexpected end of block (line 2 of the chat template)");
    insta::assert_snapshot!(render("\n{{ x.y.z }}").unwrap_err(), @"the chat template fails: undefined value (line 2 of the chat template)");
    assert!(render("{%}").is_err());
    insta::assert_snapshot!(render("{{ raise_exception('no\nway') }}").unwrap_err(), @"the chat template refuses: no way");
}
