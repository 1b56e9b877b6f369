//! Random expressions of a type, as trees that can be made smaller.

use super::events::pick;
use crate::roads::Random;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Bool,
    Int,
    Single,
    Double,
    /// With at most so many digits, so many of them after the point.
    Decimal(u32, u32),
    Text,
    Date,
    Time,
}

impl Type {
    fn is_like(self, other: Self) -> bool {
        matches!((self, other), (Self::Decimal(..), Self::Decimal(..))) || self == other
    }
}

/// `text` with a child in place of each `{}`.
#[derive(Clone, Debug)]
pub struct Expr {
    pub kind: Type,
    text: String,
    children: Vec<Expr>,
}

impl Expr {
    pub fn column(kind: Type, name: &str) -> Self {
        Self::leaf(kind, name)
    }

    fn leaf(kind: Type, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), children: Vec::new() }
    }

    fn node(kind: Type, text: impl Into<String>, children: Vec<Expr>) -> Self {
        Self { kind, text: text.into(), children }
    }

    pub fn sql(&self) -> String {
        let mut children = self.children.iter();
        let mut sql = String::new();
        for (i, piece) in self.text.split("{}").enumerate() {
            if i > 0 {
                sql.push_str(&children.next().expect("a child for each place").sql());
            }
            sql.push_str(piece);
        }
        sql
    }

    pub fn is_number(&self) -> bool {
        self.text.trim_start_matches(['(', '-']).starts_with(|c: char| c.is_ascii_digit())
    }

    pub fn nodes(&self) -> usize {
        1 + self.children.iter().map(Expr::nodes).sum::<usize>()
    }

    /// Smaller expressions of the same type: a descendant, a literal, or one with a smaller child.
    pub fn smaller(&self) -> Vec<Expr> {
        let mut found = Vec::new();
        self.descendants(self.kind, &mut found);
        if !self.children.is_empty() {
            found.extend(simplest(self.kind).iter().map(|text| Self::leaf(self.kind, *text)));
        }
        for (place, child) in self.children.iter().enumerate() {
            for smaller in child.smaller() {
                let mut copy = self.clone();
                copy.children[place] = smaller;
                found.push(copy);
            }
        }
        found
    }

    fn descendants(&self, kind: Type, found: &mut Vec<Expr>) {
        for child in &self.children {
            if child.kind.is_like(kind) {
                found.push(child.clone());
            }
            child.descendants(kind, found);
        }
    }
}

fn simplest(kind: Type) -> &'static [&'static str] {
    match kind {
        Type::Bool => &["TRUE", "FALSE"],
        Type::Int => &["1", "num"],
        Type::Single => &["single"],
        Type::Double => &["1e0", "real"],
        Type::Decimal(..) => &["1.5", "price"],
        Type::Text => &["'a'", "note"],
        Type::Date => &["DATE '2024-01-31'", "day"],
        Type::Time => &["TIMESTAMP '2024-01-31T12:30:00'", "due"],
    }
}

pub struct Generator<'a> {
    pub random: &'a mut Random,
}

const INTS: [&str; 12] = [
    "0",
    "1",
    "2",
    "3",
    "(-1)",
    "(-7)",
    "10",
    "127",
    "(-128)",
    "2147483647",
    "9223372036854775807",
    "(-9223372036854775808)",
];
const DOUBLES: [&str; 9] = [
    "0e0",
    "1e0",
    "1.5e0",
    "(-2.25e0)",
    "1e308",
    "1e-308",
    "CAST('NaN' AS DOUBLE)",
    "CAST('Infinity' AS DOUBLE)",
    "(-0e0)",
];
const DECIMALS: [(&str, u32, u32); 6] =
    [("0.00", 3, 2), ("1.10", 3, 2), ("(-0.5)", 2, 1), ("2.25", 3, 2), ("99.9999", 6, 4), ("0.001", 4, 3)];
const TEXTS: [&str; 9] = ["''", "'a'", "'Oslo'", "'%'", "'a_b'", "'é'", "'𝒳'", "'it''s'", "' '"];
const DATES: [&str; 5] =
    ["DATE '2024-02-29'", "DATE '0001-01-01'", "DATE '9999-12-31'", "DATE '1970-01-01'", "DATE '2024-03-01'"];
const TIMES: [&str; 5] = [
    "TIMESTAMP '2024-03-01T12:00:00'",
    "TIMESTAMP '0001-01-01T00:00:00'",
    "TIMESTAMP '9999-12-31T23:59:59.999999'",
    "TIMESTAMP '1970-01-01T00:00:00'",
    "TIMESTAMP '2024-02-29T23:59:59.5'",
];

impl Generator<'_> {
    pub fn of(&mut self, kind: Type, depth: u32) -> Expr {
        match kind {
            Type::Bool => self.bool(depth),
            Type::Int => self.int(depth),
            Type::Single => Expr::leaf(Type::Single, "single"),
            Type::Double => self.double(depth),
            Type::Decimal(..) => self.decimal(depth),
            Type::Text => self.text(depth),
            Type::Date => self.date(depth),
            Type::Time => self.time(depth),
        }
    }

    pub fn any(&mut self, depth: u32) -> Expr {
        let kind = self.kind();
        self.of(kind, depth)
    }

    pub fn kind(&mut self) -> Type {
        use Type::*;
        pick(self.random, &[Bool, Int, Int, Int, Double, Decimal(9, 2), Decimal(9, 2), Text, Text, Date, Time, Single])
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.random.below(one_in) == 0
    }

    fn word<'a>(&mut self, words: &[&'a str]) -> &'a str {
        pick(self.random, words)
    }

    /// What every type has: CASE, COALESCE, NULLIF and NULL itself.
    fn conditional(&mut self, kind: Type, depth: u32) -> Expr {
        let d = depth - 1;
        match self.random.below(4) {
            0 => {
                let children = vec![self.bool(d), self.of(kind, d), self.of(kind, d)];
                Expr::node(widest(kind, &children[1..]), "CASE WHEN {} THEN {} ELSE {} END", children)
            }
            1 => {
                let children = vec![self.bool(d), self.of(kind, d), self.bool(d), self.of(kind, d)];
                let widest = widest(kind, &[children[1].clone(), children[3].clone()]);
                Expr::node(widest, "CASE WHEN {} THEN {} WHEN {} THEN {} END", children)
            }
            2 => {
                let children = vec![self.of(kind, d), self.of(kind, d)];
                Expr::node(widest(kind, &children), "COALESCE({}, {})", children)
            }
            _ => {
                let children = vec![self.of(kind, d), self.of(kind, d)];
                Expr::node(children[0].kind, "NULLIF({}, {})", children)
            }
        }
    }

    pub fn bool(&mut self, depth: u32) -> Expr {
        use Type::{Bool, Text};
        if depth == 0 || self.chance(10) {
            return Expr::leaf(Bool, self.word(&["flag", "flag", "TRUE", "FALSE", "CAST(NULL AS BOOLEAN)"]));
        }
        let d = depth - 1;
        match self.random.below(14) {
            0 | 1 => Expr::node(Bool, self.word(&["({} AND {})", "({} OR {})"]), vec![self.bool(d), self.bool(d)]),
            2 => Expr::node(Bool, "(NOT {})", vec![self.bool(d)]),
            3..=5 => {
                let op = self.word(&["=", "<>", "<", "<=", ">", ">="]);
                let pair = self.pair(d);
                Expr::node(Bool, format!("({{}} {op} {{}})"), pair)
            }
            6 => {
                let not = self.word(&["", "NOT "]);
                let mut children = self.pair(d);
                children.push(self.of(children[0].kind, 0));
                Expr::node(Bool, format!("({{}} {not}BETWEEN {{}} AND {{}})"), children)
            }
            7 | 8 => self.in_list(d),
            9 => {
                let operand = self.any(d);
                Expr::node(Bool, self.word(&["({} IS NULL)", "({} IS NOT NULL)"]), vec![operand])
            }
            10 => {
                let test = self.word(&["TRUE", "NOT TRUE", "FALSE", "NOT FALSE", "UNKNOWN", "NOT UNKNOWN"]);
                Expr::node(Bool, format!("({{}} IS {test})"), vec![self.bool(d)])
            }
            11 => {
                let not = self.word(&["", "NOT "]);
                let pair = self.pair(d);
                Expr::node(Bool, format!("({{}} IS {not}DISTINCT FROM {{}})"), pair)
            }
            12 => {
                let like = self.word(&["LIKE", "NOT LIKE", "ILIKE"]);
                let pattern = self.word(&["'%'", "'a%'", "'_'", "'%é%'", "'O_lo'", r"'\%'", "'%𝒳'", "''", "'__'"]);
                let children = vec![self.text(d), Expr::leaf(Text, pattern)];
                Expr::node(Bool, format!("({{}} {like} {{}})"), children)
            }
            _ => {
                let name = self.word(&["starts_with", "ends_with", "contains"]);
                Expr::node(Bool, format!("{name}({{}}, {{}})"), vec![self.text(d), self.text(0)])
            }
        }
    }

    /// Two that can be compared, some of them of different types of numbers.
    fn pair(&mut self, depth: u32) -> Vec<Expr> {
        let kind = self.kind();
        let other = match kind {
            Type::Int if self.chance(4) => Type::Decimal(9, 2),
            Type::Decimal(..) if self.chance(4) => Type::Int,
            Type::Double if self.chance(4) => Type::Int,
            same => same,
        };
        vec![self.of(kind, depth), self.of(other, depth)]
    }

    fn in_list(&mut self, depth: u32) -> Expr {
        let kind = self.kind();
        let mut children = vec![self.of(kind, depth)];
        let mut items = Vec::new();
        for _ in 0..self.random.below(3) + 1 {
            children.push(self.of(kind, 0));
            items.push("{}");
        }
        if self.chance(3) {
            items.push("NULL");
        }
        let not = self.word(&["", "NOT "]);
        Expr::node(Type::Bool, format!("({{}} {not}IN ({}))", items.join(", ")), children)
    }

    pub fn int(&mut self, depth: u32) -> Expr {
        use Type::Int;
        if depth == 0 || self.chance(8) {
            return match self.chance(3) {
                true => Expr::leaf(Int, self.word(&INTS)),
                false => Expr::leaf(Int, self.word(&["tiny", "small", "num", "num", "big", "id"])),
            };
        }
        let d = depth - 1;
        match self.random.below(14) {
            0..=3 => {
                let op = self.word(&["+", "-", "*", "/", "%"]);
                Expr::node(Int, format!("({{}} {op} {{}})"), vec![self.int(d), self.int(d)])
            }
            4 => Expr::node(Int, "(- {})", vec![self.int(d)]),
            5 => Expr::node(Int, "abs({})", vec![self.int(d)]),
            6 | 7 => self.conditional(Int, depth),
            8 | 9 => {
                let from = self.kind();
                let operand = match from {
                    // Text that is written out has to be a number, or the view is refused.
                    Type::Text | Type::Date | Type::Time => Expr::leaf(Type::Text, "note"),
                    other => self.of(other, d),
                };
                let to = self.word(&["BIGINT", "BIGINT", "INT", "SMALLINT", "TINYINT"]);
                Expr::node(Int, format!("{}({{}} AS {to})", self.word(&["CAST", "TRY_CAST"])), vec![operand])
            }
            10 => Expr::node(Int, self.word(&["length({})", "octet_length({})", "ascii({})"]), vec![self.text(d)]),
            11 => Expr::node(Int, "strpos({}, {})", vec![self.text(d), self.text(0)]),
            12 => {
                let part = self.word(&["year", "quarter", "month", "week", "day", "doy", "dow"]);
                let operand = if self.chance(2) { self.date(d) } else { self.time(d) };
                Expr::node(Int, format!("date_part('{part}', {{}})"), vec![operand])
            }
            _ => {
                let part = self.word(&["hour", "minute", "second"]);
                Expr::node(Int, format!("EXTRACT({part} FROM {{}})"), vec![self.time(d)])
            }
        }
    }

    fn double(&mut self, depth: u32) -> Expr {
        use Type::Double;
        if depth == 0 || self.chance(8) {
            return match self.chance(3) {
                true => Expr::leaf(Double, self.word(&DOUBLES)),
                false => Expr::leaf(Double, "real"),
            };
        }
        let d = depth - 1;
        match self.random.below(10) {
            0..=2 => {
                let op = self.word(&["+", "-", "*", "/"]);
                let other = if self.chance(3) { self.int(d) } else { self.double(d) };
                Expr::node(Double, format!("({{}} {op} {{}})"), vec![self.double(d), other])
            }
            3 => Expr::node(Double, "(- {})", vec![self.double(d)]),
            4 => Expr::node(
                Double,
                self.word(&["abs({})", "floor({})", "ceil({})", "round({})", "trunc({})"]),
                vec![self.double(d)],
            ),
            5 => Expr::node(Double, self.word(&["sqrt({})", "ln({})", "exp({})", "log10({})"]), vec![self.double(d)]),
            6 | 7 => self.conditional(Double, depth),
            8 => Expr::node(Double, "CAST({} AS DOUBLE)", vec![self.int(d)]),
            _ => Expr::node(Double, "CAST({} AS DOUBLE)", vec![self.decimal(d)]),
        }
    }

    fn decimal(&mut self, depth: u32) -> Expr {
        use Type::Decimal;
        if depth == 0 || self.chance(8) {
            if self.chance(3) {
                let (text, precision, scale) = pick(self.random, &DECIMALS);
                return Expr::leaf(Decimal(precision, scale), text);
            }
            let columns = [("price", 9, 2), ("price", 9, 2), ("fine", 18, 4), ("wide", 38, 10)];
            let (name, precision, scale) = pick(self.random, &columns);
            return Expr::leaf(Decimal(precision, scale), name);
        }
        let d = depth - 1;
        match self.random.below(10) {
            0..=3 => self.of_decimals(d),
            4 => {
                let operand = self.decimal(d);
                Expr::node(operand.kind, "(- {})", vec![operand])
            }
            5 => {
                let operand = self.decimal(d);
                Expr::node(operand.kind, "abs({})", vec![operand])
            }
            6 | 7 => self.conditional(Decimal(9, 2), depth),
            _ => {
                let (precision, scale) = pick(self.random, &[(9, 2), (12, 4), (5, 0), (20, 3), (4, 4)]);
                let operand = match self.random.below(3) {
                    0 => self.int(d),
                    1 => self.decimal(d),
                    _ => Expr::leaf(Type::Text, "note"),
                };
                Expr::node(
                    Decimal(precision, scale),
                    format!("CAST({{}} AS DECIMAL({precision},{scale}))"),
                    vec![operand],
                )
            }
        }
    }

    /// An operation whose digits both engines can hold, or else a sum of such.
    fn of_decimals(&mut self, depth: u32) -> Expr {
        use Type::Decimal;
        let (left, right) = (self.decimal(depth), if self.chance(4) { self.int(0) } else { self.decimal(depth) });
        let digits = |expr: &Expr| if let Decimal(precision, scale) = expr.kind { (precision, scale) } else { (19, 0) };
        let ((p1, s1), (p2, s2)) = (digits(&left), digits(&right));
        let (op, kind) = match self.random.below(4) {
            0 if p1 + p2 < 38 => ("*", Decimal(p1 + p2 + 1, s1 + s2)),
            1 if p1 + 4 + s2 < 37 && p2 < 37 => ("/", Decimal((p1 + 4 + s2).min(38), s1 + 4)),
            2 if (p1 - s1).max(p2 - s2) + s1.max(s2) < 38 => ("%", Decimal(p1.max(p2), s1.max(s2))),
            other => {
                let precision = (p1 - s1).max(p2 - s2) + s1.max(s2) + 1;
                if precision > 38 {
                    return left;
                }
                (if other == 3 { "-" } else { "+" }, Decimal(precision, s1.max(s2)))
            }
        };
        Expr::node(kind, format!("({{}} {op} {{}})"), vec![left, right])
    }

    pub fn text(&mut self, depth: u32) -> Expr {
        use Type::Text;
        if depth == 0 || self.chance(8) {
            return match self.chance(3) {
                true => Expr::leaf(Text, self.word(&TEXTS)),
                false => Expr::leaf(Text, self.word(&["city", "note"])),
            };
        }
        let d = depth - 1;
        let small = self.word(&["0", "1", "2", "3", "(-1)", "5"]);
        match self.random.below(12) {
            0 => Expr::node(Text, "({} || {})", vec![self.text(d), self.text(d)]),
            1 => Expr::node(Text, "concat({}, {})", vec![self.text(d), self.text(d)]),
            2 => Expr::node(Text, self.word(&["lower({})", "upper({})", "reverse({})"]), vec![self.text(d)]),
            3 => Expr::node(Text, self.word(&["trim({})", "ltrim({})", "rtrim({})"]), vec![self.text(d)]),
            4 => Expr::node(Text, format!("substr({{}}, {small})"), vec![self.text(d)]),
            5 => Expr::node(Text, format!("substr({{}}, {small}, 2)"), vec![self.text(d)]),
            6 => Expr::node(Text, format!("{}({{}}, {small})", self.word(&["left", "right"])), vec![self.text(d)]),
            7 => Expr::node(Text, "replace({}, {}, {})", vec![self.text(d), self.text(0), self.text(0)]),
            8 | 9 => self.conditional(Text, depth),
            10 => {
                let from = pick(self.random, &[Type::Int, Type::Bool, Type::Date, Type::Decimal(9, 2), Type::Time]);
                let operand = self.of(from, d);
                Expr::node(Text, "CAST({} AS VARCHAR)", vec![operand])
            }
            _ => Expr::node(Text, format!("{}({{}}, 4, '*é')", self.word(&["lpad", "rpad"])), vec![self.text(d)]),
        }
    }

    fn date(&mut self, depth: u32) -> Expr {
        use Type::Date;
        if depth == 0 || self.chance(4) {
            return match self.chance(3) {
                true => Expr::leaf(Date, self.word(&DATES)),
                false => Expr::leaf(Date, "day"),
            };
        }
        let d = depth - 1;
        match self.random.below(5) {
            0 => {
                let interval =
                    self.word(&["INTERVAL '1 day'", "INTERVAL '1 month'", "INTERVAL '40 days'", "INTERVAL '1 year'"]);
                let op = self.word(&["+", "-"]);
                Expr::node(Date, format!("({{}} {op} {interval})"), vec![self.date(d)])
            }
            1 | 2 => self.conditional(Date, depth),
            _ => Expr::node(Date, "CAST({} AS DATE)", vec![self.time(d)]),
        }
    }

    fn time(&mut self, depth: u32) -> Expr {
        use Type::Time;
        if depth == 0 || self.chance(4) {
            return match self.chance(3) {
                true => Expr::leaf(Time, self.word(&TIMES)),
                false => Expr::leaf(Time, self.word(&["due", "at"])),
            };
        }
        let d = depth - 1;
        match self.random.below(6) {
            0 => {
                let interval = self.word(&[
                    "INTERVAL '1 day'",
                    "INTERVAL '1 month'",
                    "INTERVAL '90 minutes'",
                    "INTERVAL '1 second'",
                ]);
                let op = self.word(&["+", "-"]);
                Expr::node(Time, format!("({{}} {op} {interval})"), vec![self.time(d)])
            }
            1 | 2 => {
                let unit = self.word(&["second", "minute", "hour", "day", "week", "month", "quarter", "year"]);
                Expr::node(Time, format!("date_trunc('{unit}', {{}})"), vec![self.time(d)])
            }
            3 | 4 => self.conditional(Time, depth),
            _ => Expr::node(Time, "CAST({} AS TIMESTAMP)", vec![self.date(d)]),
        }
    }
}

/// The type of several values together.
fn widest(kind: Type, exprs: &[Expr]) -> Type {
    let Type::Decimal(..) = kind else { return kind };
    let (mut whole, mut scale) = (0, 0);
    for expr in exprs {
        if let Type::Decimal(p, s) = expr.kind {
            (whole, scale) = (whole.max(p - s), scale.max(s));
        }
    }
    Type::Decimal((whole + scale).min(38), scale)
}
