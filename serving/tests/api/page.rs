//! The page for people shows the digits that the API sends.

use std::io::Write;
use std::process::{Command, Stdio};

use axum::body::Body;
use axum::http::Request;
use tower::ServiceExt;

use crate::world::World;

/// Enough of a browser to run the page's script: elements keep their children and texts, and `fetch`
/// answers with what stdin gives, a JSON array of pairs of the path and the text.
const BROWSER: &str = r##"
const answers = new Map(JSON.parse(require("fs").readFileSync(0, "utf8")));
class Element {
  constructor(name) { this.name = name; this.children = []; this.textContent = ""; }
  append(...children) { this.children.push(...children); }
  replaceChildren(...children) { this.children = children; }
}
const elements = {};
const document = {
  getElementById: (id) => elements[id] ??= new Element(id),
  createElement: (name) => new Element(name),
};
const fetch = async (path) => ({ ok: true, text: async () => answers.get(path) });
const setTimeout = () => {};
function cells(element) {
  return element.children.length ? element.children.flatMap(cells) : [element.textContent];
}
process.on("exit", () => console.log(JSON.stringify([elements.error.textContent, cells(elements.rows)])));
"##;

async fn text(world: &World, path: &str) -> String {
    let response = world.router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

async fn script(world: &World) -> String {
    let page = text(world, "/").await;
    let (_, script) = page.split_once("<script>").unwrap();
    script.split_once("</script>").unwrap().0.to_owned()
}

/// What the page shows of the view's rows, if there is Node.js to run its script.
async fn shown(world: &World) -> Option<Vec<String>> {
    let script = script(world).await;
    let mut answers = Vec::new();
    for path in ["/v1/views", "/v1/views/spend/rows?limit=50"] {
        answers.push((path, text(world, path).await));
    }
    let mut command = Command::new("node");
    let node = command.args(["-e", &[BROWSER, &script].concat()]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let node = node.spawn();
    let mut node = match node {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        node => node.expect("node runs the page's script"),
    };
    node.stdin.take().unwrap().write_all(serde_json::to_string(&answers).unwrap().as_bytes()).unwrap();
    let output = String::from_utf8(node.wait_with_output().unwrap().stdout).unwrap();
    let (error, cells): (String, Vec<String>) = serde_json::from_str(&output).expect("the script runs to its end");
    assert_eq!(error, "");
    Some(cells)
}

/// JavaScript's own reading of an answer rounds integers beyond 2^53.
#[tokio::test]
async fn the_page_reads_no_answer_as_javascript_does() {
    let script = script(&World::new().await).await;
    assert!(!script.contains(".json()"), "a response is taken as text");
    let parsed: Vec<&str> = script.match_indices("JSON.parse(").map(|(at, _)| &script[at..]).collect();
    assert_eq!(parsed.len(), 1, "one place reads JSON");
    assert!(parsed[0].starts_with("JSON.parse(text.replace(TOKENS, exact))"));
}

#[tokio::test]
async fn the_page_shows_every_digit_that_the_api_sends() {
    let world = World::new().await;
    let sql = "SELECT user_id, sum(n) AS n, max(x) AS x, array_agg(n, 3) AS ns FROM transactions GROUP BY user_id";
    let event =
        |user: &str, n: i64, x: &str| format!(r#"{{"user_id":"{user}","n":{n},"x":{x},"ts":"2020-01-01T00:00:00Z"}}"#);
    let batch = [
        event("a \\\"12345678901234567890\\\"", 9_007_199_254_740_993, "5.0"),
        event("b", i64::MIN, "-0.0"),
        event("c", 7, "1e300"),
        event("d", i64::MAX, "0.1"),
        event("d", 1, "0.1"),
    ];
    world.publish("spend", sql, 1, &[&batch]).await;
    let expected = [
        ["user_id", "n", "x", "ns"],
        ["a \"12345678901234567890\"", "9007199254740993", "5.0", "[\"9007199254740993\"]"],
        ["b", "-9223372036854775808", "-0.0", "[\"-9223372036854775808\"]"],
        ["c", "7", "1e+300", "[7]"],
        ["d", "overflow", "0.1", "[\"9223372036854775807\",1]"],
    ];
    match shown(&world).await {
        Some(shown) => assert_eq!(shown, expected.concat()),
        None => println!("there is no Node.js; the script was read but not run"),
    }
}
