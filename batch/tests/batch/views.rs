//! Views of several shapes.

pub const WINDOWED: &str = "SELECT k, window_start, window_end, count(*) AS c, count(n) AS cn, sum(n) AS sn, \
    sum(amount) AS sa, sum(x) AS sx, avg(n) AS an, avg(amount) AS aa, avg(x) AS ax, min(k) AS mk, max(x) AS hx, \
    min(day) AS md, max(flag) AS mf, max(ts) AS mt FROM events WHERE g <> 1 GROUP BY k, tumble(ts, INTERVAL '1 minute')";

pub const FILTERED: &str = "SELECT g, flag, count(*) FILTER (WHERE n > 0) AS c, sum(n) FILTER (WHERE x < 0) AS s, \
    min(x) FILTER (WHERE flag) AS m, avg(amount) FILTER (WHERE k = 'nobody') AS nothing FROM events GROUP BY g, flag";

pub const GLOBAL: &str = "SELECT count(*) AS c, sum(amount) AS s, max(k) AS k FROM events";

pub const TYPED_KEYS: &str = "SELECT day, amount AS price, upper(k) AS name, date_trunc('hour', ts) AS hour, count(*) AS c \
    FROM events GROUP BY day, amount, upper(k), date_trunc('hour', ts)";

pub const ALL: [&str; 4] = [WINDOWED, FILTERED, GLOBAL, TYPED_KEYS];
