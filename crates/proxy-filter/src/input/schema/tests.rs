mod suite;

use super::*;

fn compiled(text: &str) -> JsonSchema {
    JsonSchema::compile(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_schema_accepts_and_refuses() {
    let text = r#"{"type": "object", "required": ["name"], "additionalProperties": false,
        "properties": {"name": {"type": "string", "pattern": "^[a-z]+$"}}}"#;
    let schema = compiled(text);
    assert_eq!(schema.accepts(br#"{"name": "ann"}"#), Some(true));
    for wrong in [&br#"{"name": "Ann"}"#[..], b"{}", br#"{"name": "ann", "age": 1}"#, b"[]"] {
        assert_eq!(schema.accepts(wrong), Some(false));
    }
    assert_eq!(schema.accepts(b"{"), None);
}

#[test]
fn what_backtracks_or_fetches_is_no_schema() {
    for (text, says) in [
        (r#"{"pattern": "(a)\\1"}"#, "/pattern: "),
        (r#"{"pattern": "(?=a)b"}"#, "/pattern: "),
        (r#"{"$ref": "http://127.0.0.1:9/schema.json"}"#, "none is fetched"),
        (r#"{"$ref": "file:///etc/passwd"}"#, "none is fetched"),
    ] {
        let error = JsonSchema::compile(text).expect_err(text);
        assert!(error.to_string().contains(says), "{text}: {error}");
    }
    for text in ["{", r#"{"required": ["a"], "required": ["b"]}"#] {
        assert!(matches!(JsonSchema::compile(text), Err(SchemaError::Json(_))), "{text}");
    }
    let many: Vec<String> = (0..40).map(|n| format!(r#"{{"pattern": "a{n}.{{2500}}"}}"#)).collect();
    let error = JsonSchema::compile(&format!(r#"{{"anyOf": [{}]}}"#, many.join(","))).unwrap_err();
    assert!(error.to_string().contains("with its expressions all take"), "{error}");
}

#[test]
fn what_is_no_schema_is_said_with_its_place() {
    for (text, place) in [
        ("5", ": expected a schema"),
        (r#"{"type": 5}"#, "#/type: expected a type"),
        (r#"{"type": []}"#, "#/type: expected at least one"),
        (r#"{"type": "strnig"}"#, "/type: \"strnig\" is no type"),
        (
            r#"{"properties": {"a": {"items": {"minLength": -1}}}}"#,
            "/properties/a/items/minLength: ",
        ),
        (r#"{"properties": {"a": 5}}"#, "/properties/a: expected a schema"),
        (r#"{"properties": {"a": []}}"#, "/properties/a: expected a schema"),
        (r##"{"$defs": {"a": {"required": "b"}}, "$ref": "#/$defs/a"}"##, "/$defs/a/required: "),
        (r#"{"multipleOf": 0}"#, "/multipleOf: "),
        (r#"{"anyOf": []}"#, "/anyOf: "),
        (r#"{"uniqueItems": 1}"#, "/uniqueItems: "),
        (r#"{"dependentRequired": {"a": {}}}"#, "/dependentRequired/a: "),
        (r#"{"dependentSchemas": {"a": ["b"]}}"#, "/dependentSchemas/a: "),
        (r##"{"$ref": "#/$defs/a"}"##, "/$ref: \"#/$defs/a\" leads nowhere"),
        (r##"{"$ref": "#a"}"##, "leads nowhere"),
        (r#"{"$schema": "http://example.com/mine"}"#, "$schema is "),
        // Before it is used.
        (r#"{"$defs": {"a": {"type": "strnig"}}}"#, "#/$defs/a/type: "),
        (r#"{"$defs": 5}"#, "#/$defs: expected an object of schemas"),
        (r#"{"then": 5}"#, "#/then: expected a schema"),
        (r#"{"minContains": -1}"#, "#/minContains: "),
        (r#"{"$id": 5}"#, "#/$id: expected a text"),
        (r#"{"$anchor": 5}"#, "#/$anchor: expected a text"),
        // Which of two would count is not to be seen.
        (r#"{"$defs": {"a": {"$id": "x"}, "b": {"$id": "x"}}}"#, "\"x\" is the name of another"),
        (
            r#"{"$defs": {"a": {"$anchor": "x"}, "b": {"$anchor": "x"}}}"#,
            "\"x\" is the name of another",
        ),
        // What they demand would be passed over.
        (
            r#"{"additionalItems": false}"#,
            "#/additionalItems: draft 2020-12 has no such keyword, draft 2019-09 has",
        ),
        (
            r#"{"$schema": "http://json-schema.org/draft-07/schema", "unevaluatedProperties": false}"#,
            "#/unevaluatedProperties: draft 7 has no such keyword, draft 2019-09 has",
        ),
        (
            r#"{"$schema": "http://json-schema.org/draft-04/schema", "const": 1}"#,
            "draft 4 has no such",
        ),
        (
            r#"{"$schema": "http://json-schema.org/draft-04/schema", "exclusiveMinimum": true}"#,
            "#/exclusiveMinimum: says nothing without minimum",
        ),
        (
            r##"{"$schema": "https://json-schema.org/draft/2019-09/schema", "$id": "#x"}"##,
            "a fragment is said by $anchor",
        ),
        (
            r#"{"$schema": "https://json-schema.org/draft/2019-09/schema", "items": {"$recursiveAnchor": true}}"#,
            "#/items/$recursiveAnchor: ",
        ),
        // Another library's expressions.
        (r#"{"pattern": "(?i)a"}"#, "it is none of ECMA-262"),
        (r#"{"pattern": "\\A"}"#, "it is none of ECMA-262"),
        (r#"{"pattern": "a{2}{3}"}"#, "it is none of ECMA-262"),
        (r#"{"pattern": "a\\B"}"#, "is no expression that can be used"),
        (r#"{"pattern": ".{100000}"}"#, "exceeded limit of 8388608"),
        (r##"{"$ref": "#"}"##, "#: it refers to itself in a circle"),
        (
            r##"{"$id": "http://x/r", "$ref": "tree", "$defs": {"r": {"$dynamicAnchor": "n", "$ref": "tree"},
                "tree": {"$id": "tree", "$dynamicRef": "#n", "$defs": {"d": {"$dynamicAnchor": "n"}}}}}"##,
            "in a circle",
        ),
        (
            r##"{"items": {"anyOf": [{"$ref": "#/$defs/a"}]}, "$defs": {"a": {"not": {"$ref": "#/items"}}}}"##,
            "in a circle",
        ),
    ] {
        let error = JsonSchema::compile(text).expect_err(text);
        assert!(error.to_string().contains(place), "{text}: {error}");
    }
}

/// Each level asks both branches for all below it: 2^100 steps, if the same is asked twice.
#[test]
fn alternatives_that_refer_to_their_whole_are_judged_in_time() {
    let branch = r##"{"type": "array", "items": {"$ref": "#"}, "minItems": 1}"##;
    let deep = |end: &str| format!("{}{end}{}", "[".repeat(100), "]".repeat(100));
    for (keyword, one, two) in [("anyOf", true, false), ("oneOf", false, false)] {
        let schema = compiled(&format!(r#"{{"{keyword}": [{branch}, {branch}, {{"const": 1}}]}}"#));
        assert_eq!(schema.accepts(deep("1").as_bytes()), Some(one), "{keyword}");
        assert_eq!(schema.accepts(deep("2").as_bytes()), Some(two), "{keyword}");
    }
    let branch = r##"{"type": "array", "items": {"$ref": "#/not"}, "minItems": 1}"##;
    let schema =
        compiled(&format!(r#"{{"not": {{"anyOf": [{branch}, {branch}, {{"const": 1}}]}}}}"#));
    assert_eq!(schema.accepts(deep("2").as_bytes()), Some(true));
}

/// So many others are remembered before that there is no room for more.
#[test]
fn what_is_remembered_makes_room_for_what_is_near() {
    let branch = r##"{"type": "array", "items": {"$ref": "#"}, "minItems": 1}"##;
    let (empty, long) =
        (r#"{"type": "array", "maxItems": 0}"#, r#"{"type": "array", "minItems": 9}"#);
    let schema = compiled(&format!(r#"{{"anyOf": [{branch}, {branch}, {empty}, {long}]}}"#));
    // Neither branch accepts what is deep, and the last alternative all of it.
    let deep = format!("{}1{}", "[".repeat(60), "]".repeat(60));
    let document = format!("[{}{deep}]", "[],".repeat(120_000));
    assert_eq!(schema.accepts(document.as_bytes()), Some(true));
}

/// A text that is made for an expression takes a thousand times as long as another, and is charged
/// for that. What came before changes nothing for the next.
#[test]
fn an_expression_that_takes_long_is_given_up() {
    let schema = compiled(r#"{"pattern": "^.*a.{500}$"}"#);
    // Every 500 letters are others.
    let mut state = 1_u32;
    let mut letter = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if state >> 31 == 0 { 'a' } else { 'b' }
    };
    let text: String = (0..65_000).map(&mut letter).collect();
    let long = format!("\"{text}a{}\"", "b".repeat(500));
    let short = format!("\"{}a{}\"", &text[..100], "b".repeat(500));
    for _ in 0..3 {
        assert_eq!(schema.accepts(short.as_bytes()), Some(true));
        assert_eq!(schema.accepts(long.as_bytes()), Some(false));
        assert_eq!(schema.accepts(format!("\"{}\"", "ba".repeat(30_000)).as_bytes()), Some(true));
    }
}

/// Counted repetitions make a state for each character, which takes no long time.
#[test]
fn texts_of_an_honest_length_are_judged() {
    for (pattern, text) in [
        ("^[^<>]{0,2000}$", "a".repeat(1_800)),
        ("^.{1,2000}$", "é".repeat(1_800)),
        (r"^[\\s\\S]{0,2000}$", "漢".repeat(1_000)),
        ("^[a-z]{1,4000}$", "abcd".repeat(900)),
        (r"^\\p{L}[\\p{L}\\p{M} .'-]{0,99}$", "Åsa Öğünç".repeat(11)),
    ] {
        let schema = compiled(&format!(r#"{{"items": {{"pattern": "{pattern}"}}}}"#));
        let document = format!("[\"{text}\", \"{text}\"]");
        assert_eq!(schema.accepts(document.as_bytes()), Some(true), "{pattern}");
        let document = format!("[\"{text}\", \"{text}<{}\"]", text.repeat(2));
        assert_eq!(schema.accepts(document.as_bytes()), Some(false), "{pattern}");
    }
}

/// Work that a document makes long, whatever the schema, is charged by its length.
#[test]
fn names_and_lists_are_charged_by_their_length() {
    let long = |length: usize| format!(r#"[{{"{}": 1}}]"#, "n".repeat(length));
    let keys = |schema: &JsonSchema, text: &str| {
        let value: value::Value<'_> = serde_json::from_str(text).expect("JSON");
        judge::steps(&schema.0, &value)
    };
    for text in [r#"{"uniqueItems": true}"#, r#"{"items": {"propertyNames": {"pattern": "a$"}}}"#] {
        let schema = compiled(text);
        let more = keys(&schema, &long(64_000)) - keys(&schema, &long(64));
        assert!(more >= 999, "{text}: {more}");
    }
    let names: Vec<String> = (0..1_000).map(|n| format!("\"a{n}\"")).collect();
    let required = |name: &String| format!(r#"{name}: ["b"]"#);
    let lists: Vec<String> = names.iter().map(required).collect();
    for keyword in ["dependentRequired", "dependentSchemas"] {
        let lists = lists
            .join(",")
            .replace(r#"["b"]"#, if keyword == "dependentSchemas" { "{}" } else { r#"["b"]"# });
        let schema = compiled(&format!(r#"{{"{keyword}": {{{lists}}}}}"#));
        assert!(keys(&schema, "{}") >= 1_000, "{keyword}");
    }
    // States are charged where the text is short, and where it need not be read to its end.
    for text in [r#""ababababababababc""#, r#""ababababababababx""#] {
        assert!(keys(&compiled(r#"{"pattern": "^[ab]{0,20}c"}"#), text) > 50, "{text}");
    }
    let same = |items: usize| format!("[{}0]", "0,".repeat(items));
    let unique = compiled(r#"{"uniqueItems": true}"#);
    assert_eq!(
        keys(&unique, &same(9)),
        keys(&unique, &same(9_000)),
        "the second is the first again"
    );
    let text = r#"{"additionalProperties": true, "unevaluatedProperties": false}"#;
    let members: Vec<String> = (0..5_000).map(|n| format!("\"{n}\": 0")).collect();
    let document = format!("{{{}}}", members.join(","));
    assert!(keys(&compiled(text), &document) >= 15_000, "asked, looked at, and looked at again");
}

/// Many values of a list cost no more than one.
#[test]
fn a_long_list_of_numbers_takes_no_longer_than_a_short_one() {
    let numbers: Vec<String> = (0..250).map(|n| n.to_string()).collect();
    let schema = compiled(&format!(r#"{{"items": {{"enum": [{}]}}}}"#, numbers.join(",")));
    let document = |last: &str| format!("[{}{last}]", "248.0,".repeat(10_000));
    assert_eq!(schema.accepts(document("1").as_bytes()), Some(true));
    assert_eq!(schema.accepts(document("250").as_bytes()), Some(false));
}

/// What a dynamic reference leads to depends on the way, so nothing is remembered.
#[test]
fn alternatives_that_explode_are_given_up() {
    let branch = r##"{"type": "array", "items": {"$dynamicRef": "#tree"}, "minItems": 1}"##;
    let tree =
        format!(r#"{{"$dynamicAnchor": "tree", "anyOf": [{branch}, {branch}, {{"const": 1}}]}}"#);
    let deep = format!("{}2{}", "[".repeat(100), "]".repeat(100));
    for schema in [tree.clone(), format!(r#"{{"not": {tree}}}"#)] {
        assert_eq!(compiled(&schema).accepts(deep.as_bytes()), Some(false), "{schema}");
        assert_eq!(
            compiled(&schema).accepts(b"[[2]]"),
            Some(schema.starts_with(r#"{"not"#)),
            "{schema}"
        );
    }
}

/// On a stack of two megabytes, which a worker has.
#[test]
fn the_deepest_document_has_room() {
    let text = r##"{"$defs": {"list": {"allOf": [{"$ref": "#/$defs/any"}]}, "any": {"anyOf": [
        {"type": "array", "items": {"$ref": "#/$defs/list"}}, {"const": 1}]}}, "$ref": "#/$defs/list"}"##;
    let schema = compiled(text);
    let deep = |end: &str| {
        format!("{}{end}{}", "[".repeat(MAX_SCHEMA_DEPTH), "]".repeat(MAX_SCHEMA_DEPTH))
    };
    assert_eq!(compiled("true").accepts(format!("[{}]", deep("1")).as_bytes()), None);
    let run = move || (schema.accepts(deep("1").as_bytes()), schema.accepts(deep("2").as_bytes()));
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(run).expect("a thread");
    assert_eq!(thread.join().expect("no overflow"), (Some(true), Some(false)));

    let nest = |n: usize| {
        (0..n).fold("{\"const\": 1}".to_owned(), |inner, _| format!(r#"{{"allOf": [{inner}]}}"#))
    };
    let wide = compiled(&format!(
        r##"{{"anyOf": [{}, {{"items": {{"$ref": "#"}}, "type": "array"}}]}}"##,
        nest(60)
    ));
    let run = move || wide.accepts(format!("{}1{}", "[".repeat(127), "]".repeat(127)).as_bytes());
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(run).expect("a thread");
    assert_eq!(thread.join().expect("no overflow"), Some(true));
}

#[test]
fn many_items_are_told_apart_in_time() {
    let schema = compiled(r#"{"uniqueItems": true}"#);
    let numbers: Vec<String> = (0..100_000).map(|n| n.to_string()).collect();
    assert_eq!(schema.accepts(format!("[{}]", numbers.join(",")).as_bytes()), Some(true));
    assert_eq!(schema.accepts(format!("[{},5.0]", numbers.join(",")).as_bytes()), Some(false));
    for (text, differ) in [
        (r#"[{"a": 1, "b": [2]}, {"b": [2.0], "a": 1}]"#, false),
        (r#"[{"a": 1, "b": 2}, {"a": 2, "b": 1}]"#, true),
        (r#"[[1], [true], ["1"], [null], [[1]], 1, 0, false, "", [], {}]"#, true),
        ("[0, -0.0]", false),
        ("[1e30, 1000000000000000000000000000000]", false),
        ("[0.1, 0.10]", false),
    ] {
        assert_eq!(schema.accepts(text.as_bytes()), Some(differ), "{text}");
    }
}

#[test]
fn numbers_are_compared_as_they_are() {
    for (schema, value, accepted) in [
        (r#"{"multipleOf": 0.01}"#, "19.99", true),
        (r#"{"multipleOf": 0.01}"#, "19.995", false),
        (r#"{"multipleOf": 0.1}"#, "1e300", true),
        (r#"{"multipleOf": 1e300}"#, "1", false),
        (r#"{"multipleOf": 1e300}"#, "0", true),
        (r#"{"multipleOf": 0.01}"#, "1e308", true),
        (r#"{"multipleOf": 7}"#, "1e308", false),
        (r#"{"multipleOf": 7}"#, "7e300", true),
        (r#"{"multipleOf": 18446744073709551615}"#, "1e308", false),
        (r#"{"multipleOf": 1e-23}"#, "126e-23", true),
        (r#"{"multipleOf": 5e-324}"#, "1e308", true),
        (r#"{"const": 18.90034343691995}"#, "18900343436919950e-15", true),
        (r#"{"multipleOf": 3}"#, "-9007199254740993", true),
        (r#"{"multipleOf": 3}"#, "9007199254740994", false),
        (r#"{"maximum": 9007199254740992}"#, "9007199254740993", false),
        (r#"{"maximum": 9007199254740992.0}"#, "9007199254740993", false),
        (r#"{"minimum": 18446744073709551615}"#, "18446744073709551614", false),
        (r#"{"minimum": 18446744073709551615}"#, "1e20", true),
        (r#"{"exclusiveMinimum": 1.5}"#, "2", true),
        (r#"{"exclusiveMinimum": 1.5}"#, "1", false),
        (r#"{"exclusiveMaximum": -1.5}"#, "-2", true),
        (r#"{"exclusiveMaximum": -1.5}"#, "-1", false),
        (r#"{"maximum": 1e300}"#, "5", true),
        (r#"{"minimum": -1e300}"#, "-5", true),
        (r#"{"type": "integer"}"#, "1e300", true),
        (r#"{"type": "integer"}"#, "1.5", false),
    ] {
        assert_eq!(compiled(schema).accepts(value.as_bytes()), Some(accepted), "{schema} {value}");
    }
}

#[test]
fn expressions_are_those_of_ecma_262() {
    for (pattern, text, matches) in [
        // Words are of ASCII.
        (r"^\\bé", "é", false),
        (r"\\bcaf\\b", "café", true),
        (r"\\\\b", r"x\\b", true),
        (r"^\\d$", "٣", false),
        (r"^.$", "é", true),
        (r"^[^a]$", "😀", true),
        (r"^\\<$", "<", true),
    ] {
        let schema = compiled(&format!(r#"{{"pattern": "{pattern}"}}"#));
        let text = format!("\"{text}\"");
        assert_eq!(schema.accepts(text.as_bytes()), Some(matches), "{pattern} {text}");
    }
}

/// What stands below a keyword that no draft has is found by the references to it, all of it, in
/// whatever order.
#[test]
fn names_below_unknown_keywords_count() {
    for place in ["components", "$defs"] {
        let schema = compiled(&format!(
            r##"{{"$id": "http://x/strict", "$ref": "#/{place}/s",
            "{place}": {{"s": {{"$dynamicAnchor": "node", "$ref": "tree", "unevaluatedProperties": false}},
            "tree": {{"$id": "tree", "$dynamicAnchor": "node", "type": "object",
            "properties": {{"children": {{"items": {{"$dynamicRef": "#node"}}}}}}}}}},
            "not": {{"$ref": "#/{place}/tree", "required": ["never"]}}}}"##
        ));
        assert_eq!(schema.accepts(br#"{"children": [{"children": []}]}"#), Some(true), "{place}");
        assert_eq!(schema.accepts(br#"{"children": [{"daat": 1}]}"#), Some(false), "{place}");
    }
    for (one, other) in [("a", "b"), ("b", "a")] {
        let schema = compiled(&format!(
            r##"{{"properties": {{"{one}": {{"$ref": "#foo"}}, "{other}": {{"$ref": "#/components/x"}}}},
            "components": {{"x": {{"$anchor": "foo", "type": "null"}}}}}}"##
        ));
        assert_eq!(schema.accepts(br#"{"a": null, "b": null}"#), Some(true));
        assert_eq!(schema.accepts(br#"{"a": 1}"#), Some(false));
    }
    // What is around others says what they belong to, whoever is referred to first.
    let schema = compiled(
        r##"{"allOf": [{"$ref": "#/a/b"}], "properties": {"z": {"$ref": "#/a"}}, "c": {"type": "number"},
            "a": {"$id": "http://q/a", "b": {"$ref": "#/c"}, "c": {"type": "string"}}}"##,
    );
    assert_eq!(schema.accepts(b"1"), Some(false));
    assert_eq!(schema.accepts(b"\"a\""), Some(true));
    let error = JsonSchema::compile(
        r##"{"$ref": "#/a/b/c", "properties": {"z": {"$ref": "#/x"}}, "x": {"$ref": "#/a"},
            "a": {"$id": "http://q/a", "allOf": [{"$ref": "#/b"}], "b": {"c": true, "not": false}}}"##,
    );
    assert!(error.is_ok(), "nothing is of two resources: {error:?}");
    let draft = "http://json-schema.org/draft-07/schema";
    let schema = compiled(&format!(
        r##"{{"$schema": "{draft}", "$id": "http://x/r.json", "$ref": "#/definitions/a",
        "definitions": {{"a": {{"type": "null"}}, "b": {{"$ref": "http://x/r.json#/definitions/a"}}}}}}"##
    ));
    assert_eq!(schema.accepts(b"null"), Some(true));
    let schema = compiled(&format!(
        r##"{{"$schema": "{draft}", "definitions": {{"a": {{"$id": "#f%C3%A9", "type": "null"}}}},
        "items": {{"$ref": "#f%C3%A9"}}}}"##
    ));
    assert_eq!(schema.accepts(b"[1]"), Some(false));
}

/// The bound on schemas within one another holds before the stack ends.
#[test]
fn schemas_within_schemas_without_end_are_given_up() {
    let nest = |last: String| (0..60).fold(last, |inner, _| format!(r#"{{"allOf": [{inner}]}}"#));
    let link = |n| format!(r##""{n}": {}"##, nest(format!(r##"{{"$ref": "#/$defs/{}"}}"##, n + 1)));
    let links = |n: usize| (0..n).map(link).collect::<Vec<_>>().join(", ");
    let chain = |n| format!(r##"{{"$defs": {{{}, "{n}": true}}, "$ref": "#/$defs/0"}}"##, links(n));
    for (n, accepted) in [(16, true), (17, false), (200, false)] {
        let schema = compiled(&chain(n));
        let run = move || schema.accepts(b"1");
        let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(run).expect("a thread");
        assert_eq!(thread.join().expect("no overflow"), Some(accepted), "{n}");
    }
    // The way that takes most of the stack.
    let branch = r##"{"type": "array", "unevaluatedItems": {"$ref": "#"}}"##;
    let text = format!(
        r#"{{"allOf": [{{"if": {{"oneOf": [{{"anyOf": [{{"allOf": [{branch}]}}]}}]}}, "else": false}}]}}"#
    );
    let schema = compiled(&format!(r#"{{"anyOf": [{{"const": 1}}, {text}]}}"#));
    let run = move || schema.accepts(format!("{}1{}", "[".repeat(127), "]".repeat(127)).as_bytes());
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(run).expect("a thread");
    assert_eq!(thread.join().expect("no overflow"), Some(true));
}
