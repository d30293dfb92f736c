// Documents that are wrong: each is told with its place and a reason, whatever it is.
#include <support/has.hpp>

#include <io/graphs.hpp>

#include <cstddef>
#include <string>
#include <vector>

#include <support/catch.hpp>

using galley::Status;
using graphs::Host;
using support::has;

namespace {

/// A document, where it is wrong, and a part of what is said of that.
struct Line {
  std::string json;
  std::string path;
  std::string says;
};

/// One member of a document with many a wrong value.
void add_values(std::vector<Line>& lines, const std::string& before, const std::string& after,
                const std::string& path, const std::string& says,
                const std::vector<std::string>& values) {
  for (const std::string& value : values) lines.push_back({before + value + after, path, says});
}

std::vector<Line> bad_nodes() {
  const std::string in_order = R"({"kind": "in_order", "of": )";
  std::vector<Line> lines = {
      {"[]", "$", "expected an object, the graph's outermost node, got an empty list"},
      {"\"net\"", "$", "expected an object"},
      {"1", "$", "expected an object, the graph's outermost node, got 1"},
      {"null", "$", "got null"},
      {"{}", "$", "expected a node: a name, {\"use\": ...} or {\"kind\": ...}, got an object"},
      {R"({"kind": 3})", "$.kind", "expected the name of a kind of node, got 3"},
      {R"({"kind": "batchd"})", "$.kind", "got \"batchd\"; there are: batched"},
      {R"({"kind": ""})", "$.kind", "got \"\""},
      {R"({"kind": "opaque", "name": "f"})", "$", "only the code of the program can say, \"f\""},
      {R"({"use": 3})", "$.use", "expected the name of a servable, got 3"},
      {R"({"use": "nett"})", "$.use", "got \"nett\"; there are: count, net, other"},
      {R"({"use": "net", "name": "x"})", "$.name", "no other member"},
      {R"({"use": "net", "kind": "on"})", "$.use", "no such member"},
      {R"({"kind": "in_order"})", "$", "expected a member \"of\", a node"},
      {R"({"kind": "on", "of": "net"})", "$",
       "expected a member \"executor\", an executor, got none"},
      {R"({"kind": "on", "executor": "gpu", "of": "net"})", "$.executor",
       "expected the name of an executor, got \"gpu\"; there are: cpu"},
      {R"({"kind": "on", "executor": 1, "of": "net"})", "$.executor",
       "expected the name of an executor, got 1"},
      {R"({"kind": "on", "executor": {"kind": "cpu"}, "of": "net"})", "$.executor",
       "got an object"},
      {R"({"kind": "on", "exec": "cpu", "of": "net"})", "$.exec",
       "no such member; there are: executor, of"},
      {R"({"kind": "pipeline"})", "$", "expected a member \"stages\", a list of 1 to 256 items"},
      {R"({"kind": "pipeline", "stages": []})", "$.stages", "got 0"},
      {R"({"kind": "pipeline", "stages": "net"})", "$.stages", "expected a list"},
      {R"({"kind": "pipeline", "stages": ["net", 4]})", "$.stages[1]", "expected a node"},
      {R"({"kind": "pipeline", "stages": ["net", "count", "net"]})", "$.stages[2]",
       "expected rows int -> Tensor"},
      {R"({"use": "count"})", "$", "expected rows Tensor -> Tensor, got \"count\", Tensor -> int"},
      {R"({"kind": "in_order", "of": "net", "of": "net"})", "$", "two members are named \"of\""},
      {R"({"kind": "in_order", "of": "net", "my key": 1})", "$[\"my key\"]", "no such member"},
      {R"({"kind": "in_order", "of": {"kind": "on", "executor": "cpu", "of": {"kind": "x"}}})",
       "$.of.of.kind", "got \"x\""},
  };
  add_values(lines, in_order, "}", "$.of", "expected a node",
             {"1", "1.5", "true", "null", "[]", "{}", "[\"net\"]", "{\"name\": \"net\"}"});
  add_values(lines, R"({"kind": )", R"(, "of": "net"})", "$.kind", "expected the name of a kind",
             {"1", "null", "true", "[]", "{}", "\"In_order\"", "\"in order\"", "\"graph\"",
              "\"map\"", "\"\xc3\xa9\""});
  return lines;
}

std::vector<Line> bad_definitions() {
  const std::string long_name(129, 'x');
  std::vector<Line> lines = {
      {R"({"define": [], "use": "net"})", "$.define", "expected an object, of names and nodes"},
      {R"({"define": 1, "use": "net"})", "$.define", "got 1"},
      {R"({"define": {"a": 1}, "use": "net"})", "$.define.a", "expected a node"},
      {R"({"define": {"net": "other"}, "use": "net"})", "$.define.net",
       "expected a name that no servable of the registry has"},
      {R"({"define": {"": "other"}, "use": "net"})", "$.define[\"\"]", "1 to 128 bytes, got 0"},
      {"{\"define\": {\"" + long_name + "\": \"net\"}, \"use\": \"net\"}", "$.define[\"xxx",
       "1 to 128 bytes, got 129"},
      {R"({"define": {"a": "a"}, "use": "a"})", "$.define.a", "does not use itself"},
      {R"({"define": {"a": "a"}, "use": "net"})", "$.define.a", "does not use itself"},
      {R"({"define": {"a": "b", "b": {"kind": "in_order", "of": "a"}}, "use": "a"})", "$.define.a",
       "does not use itself"},
      {R"({"define": {"a": {"kind": "in_order"}}, "use": "net"})", "$.define.a", "member \"of\""},
      {R"({"define": {"a": "net", "a": "other"}, "use": "a"})", "$.define",
       "two members are named \"a\""},
      {R"({"define": {"a": "net"}, "use": "b"})", "$.use", "there are: a, count, net, other"},
      {R"({"define": {"a": {"define": {}, "use": "net"}}, "use": "a"})", "$.define.a.define",
       "no other member"},
      {R"({"kind": "in_order", "of": {"define": {}, "kind": "in_order", "of": "net"}})",
       "$.of.define", "no such member"},
      {R"({"define": {"a": "count"}, "use": "a"})", "$.define.a", "expected rows Tensor -> Tensor"},
      {R"({"define": {"a": "count"}, "kind": "pipeline", "stages": ["a", "net"]})", "$.stages[1]",
       "expected rows int -> Tensor"},
  };
  return lines;
}

std::vector<Line> bad_options() {
  std::vector<Line> lines;
  const std::string batched = R"({"kind": "batched", "executor": "cpu", "of": "net", )";
  const std::vector<std::string> no_integers = {"\"many\"", "1.5", "true", "null",   "[]",
                                                "{}",       "1e3", "-1",   "1e99999"};
  for (const char* name :
       {"max_rows", "max_queued_rows", "max_queued_bytes", "max_running", "max_kinds"}) {
    for (const std::string& value : no_integers) {
      const bool infinite = value == "1e99999";
      lines.push_back({batched + R"("options": {")" + name + "\": " + value + "}}",
                       std::string("$.options.") + name,
                       infinite ? "not JSON" : "expected an integer"});
    }
  }
  add_values(lines, batched + R"("options": {"max_rows": )", "}}", "$.options.max_rows",
             "expected an integer from 1 to 1048576, got ",
             {"0", "1048577", "9223372036854775807", "18446744073709551615", "99999999999999999999",
              "-9223372036854775808"});
  for (const char* name : {"caller_runs", "infeasible"}) {
    add_values(lines, batched + R"("options": {")" + name + "\": ", "}}",
               std::string("$.options.") + name, "expected one of \"",
               {"1", "true", "null", "[]", "\"\"", "\"Never\"", "\"sometimes\""});
  }
  const std::vector<std::string> no_durations = {
      "1",      "0",        "null",     "\"\"",      "\"ms\"",   "\"2\"",
      "\"2m\"", "\"-2ms\"", "\"2 ms\"", "\"2.5ms\"", "\"2ms \"", "\"9223372036854775807s\"",
      "[]"};
  add_values(lines, batched + R"("options": {"ageing": )", "}}", "$.options.ageing",
             "expected a duration such as \"250us\"", no_durations);
  add_values(lines, batched + R"("policy": {"kind": "size_or_delay", "max_delay": )", "}}",
             "$.policy.max_delay", "expected a duration", no_durations);
  add_values(lines, batched + R"("options": {"sizes": )", "}}", "$.options.sizes",
             "expected a list of 0 to 1024 items", {"1", "\"1\"", "null", "{}"});
  add_values(lines, batched + R"("options": {"sizes": [1, )", "]}}", "$.options.sizes[1]",
             "expected an integer from 1 to 1048576", {"0", "null", "\"2\"", "[2]", "2.5", "-3"});
  add_values(lines, batched + R"("options": )", "}", "$.options", "expected an object",
             {"1", "null", "[]", "\"fast\"", "true"});
  lines.push_back({batched + R"("options": {"max_row": 3}})", "$.options.max_row",
                   "no such member; there are: max_rows, sizes"});
  lines.push_back({batched + R"("options": {"sizes": [4, 2]}})", "$",
                   "options.sizes[1]: expected ascending sizes"});
  lines.push_back({batched + R"("options": {"max_rows": 9, "max_queued_rows": 8}})", "$",
                   "options.max_queued_rows: expected at least max_rows"});
  return lines;
}

std::vector<Line> bad_policies() {
  const std::string batched = R"({"kind": "batched", "executor": "cpu", "of": "net", "policy": )";
  std::vector<Line> lines = {
      {batched + "\"learned_cap\"}", "$.policy",
       "expected the name of a batch policy, got \"learned_cap\"; there are: {\"kind\": "
       "\"learned_cap\"}"},
      {batched + "{}}", "$.policy", "expected a member \"kind\", of a batch policy, got none"},
      {batched + R"({"kind": "clipper"}})", "$.policy.kind",
       "got \"clipper\"; there are: learned_cap, preferred_sizes, size_or_delay"},
      {batched + R"({"kind": 1}})", "$.policy.kind", "expected a kind of a batch policy, got 1"},
      {batched + R"({"kind": "learned_cap", "max_rows": 3}})", "$.policy.max_rows",
       "no such member; there are: max_yields, probe_every"},
      {batched + R"({"kind": "learned_cap", "use": "x"}})", "$.policy.use", "no such member"},
      {batched + R"({"kind": "learned_cap", "max_yields": 65}})", "$.policy.max_yields",
       "expected an integer from 0 to 64, got 65"},
      {batched + R"({"kind": "learned_cap", "probe_every": 4294967296}})", "$.policy.probe_every",
       "expected an integer from 0 to 4294967295"},
      {batched + R"({"kind": "preferred_sizes"}})", "$.policy",
       "expected a member \"sizes\", a list of 1 to 16 items"},
      {batched + R"({"kind": "preferred_sizes", "sizes": []}})", "$.policy.sizes", "got 0"},
      {batched + R"({"kind": "preferred_sizes", "sizes": [1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8]}})",
       "$.policy.sizes", "1 to 16 items, each an integer of at least 1"},
      {batched + R"({"kind": "preferred_sizes", "sizes": [0]}})", "$.policy.sizes[0]", "got 0"},
  };
  add_values(lines, batched, "}", "$.policy", "expected the name of a batch policy or an object",
             {"1", "null", "true", "[]", "2.5"});
  return lines;
}

std::vector<Line> bad_members() {
  const std::string all = R"({"kind": "everything", "small": 7, )";
  std::vector<Line> lines = {
      {R"({"kind": "everything"})", "$", "expected a member \"small\", an integer from 3 to 255"},
      {R"({"kind": "everything", "small": 2})", "$.small", "got 2"},
      {R"({"kind": "everything", "small": 256})", "$.small", "from 3 to 255, got 256"},
      {all + R"("text": "nine bytes"})", "$.text", "a text of at most 8 bytes, got \"nine bytes\""},
      {all + R"("numbers": [6]})", "$.numbers[0]", "expected an integer from -5 to 5, got 6"},
      {all + R"("numbers": [1, 2, 3, 4, 5]})", "$.numbers", "expected a list of 1 to 4 items"},
      {all + R"("inners": [{}, {}, {}]})", "$.inners", "expected a list of 0 to 2 items"},
      {all + R"("inners": [{}, {"level": 2}]})", "$.inners[1].level", "from -1.0 to 1.0, got 2"},
      {all + R"("inners": [{}, {"leve": 2}]})", "$.inners[1].leve", "there are: level, names"},
      {all + R"("inners": [7]})", "$.inners[0]", "expected an object, got 7"},
      {all + R"("inner": {"names": [1]}})", "$.inner.names[0]", "expected a text"},
      {all + R"("wait": "2s"})", "$.wait", "of at most 1s, got \"2s\""},
      {all + R"("children": ["net", "count"]})", "$.children[1]", "expected rows Tensor -> Tensor"},
      {all + R"("children": {"a": "net"}})", "$.children", "expected a list"},
      {all + R"("child": "none"})", "$.child", "expected the name of a servable"},
      {all + R"("policy": {"kind": "none"}})", "$.policy.kind", "a kind of a batch policy"},
      {all + R"("executor": "none"})", "$.executor", "there are: cpu"},
  };
  add_values(lines, all + "\"flag\": ", "}", "$.flag", "expected true or false",
             {"1", "0", "null", "\"true\"", "[]"});
  add_values(lines, all + "\"factor\": ", "}", "$.factor", "expected a number from 0.0 to 10.0",
             {"-0.5", "10.01", "\"1\"", "null", "[1]", "true"});
  add_values(lines, all + "\"text\": ", "}", "$.text", "expected a text",
             {"1", "null", "[]", "{}"});
  add_values(lines, all + "\"mode\": ", "}", "$.mode", "expected one of \"plain\", \"fancy\"",
             {"1", "\"\"", "\"Plain\"", "null"});
  const std::string padded = R"({"kind": "padded", "of": "net", "options": )";
  add_values(lines, padded, "}", "$.options", "expected an object", {"1", "[]", "null"});
  add_values(lines, padded + "{\"lengths\": [4], ", "}}", "$.options", "",
             {"\"axis\": 7", "\"axis\": -1", "\"value\": \"x\"", "\"check\": \"none\"",
              "\"merge\": 1", "\"samples\": []", "\"samples\": \"net\"", "\"output_axis\": 8",
              "\"tolerance\": 1", "\"tolerance\": {\"absolute\": -1}", "\"length\": [4]",
              "\"input\": 4", "\"clock\": \"wall\""});
  lines.push_back({padded + "{\"check\": \"trust\"}}", "$", "expected 1 to 64 lengths, got 0"});
  lines.push_back({padded + R"({"lengths": [4, 2], "check": "trust"}})", "$", "ascending"});
  return lines;
}

std::vector<Line> bad_routes() {
  const std::string route = R"({"kind": "route", "arms": ["net", "other"], )";
  const std::string by = route + "\"by\": ";
  std::vector<Line> lines = {
      {R"({"kind": "route", "arms": ["net"]})", "$",
       "expected \"by\" or \"classifier\", got neither"},
      {by + R"("sort", "classifier": "which"})", "$", "got both"},
      {R"({"kind": "route", "by": "sort"})", "$", "expected a member \"arms\", a list of 1 to 256"},
      {R"({"kind": "route", "by": "sort", "arms": []})", "$.arms", "got 0"},
      {R"({"kind": "route", "by": "sort", "arms": ["net", "count"]})", "$.arms[1]",
       "expected rows Tensor -> Tensor, got \"count\""},
      {route + R"("classifier": "net"})", "$.classifier", "expected rows Tensor -> "},
      {by + R"({"kind": "by_weight"}})", "$.by",
       "expected a member \"weights\", a list of 1 to 16"},
      {by + R"({"kind": "by_weight", "weights": []}})", "$.by.weights", "got 0"},
      {by + R"({"kind": "by_weight", "weights": [1, -1]}})", "$.by.weights[1]",
       "expected a number of at least 0.0, got -1"},
      {by + R"({"kind": "by_weight", "weights": [1]}})", "$", "one for each of 2 arms"},
      {by + R"({"kind": "by_weight", "weights": [0, 0]}})", "$", "expected one above 0, got none"},
      {by + R"({"kind": "sticky", "weights": [1, 1], "keyless": "lost"}})", "$.by.keyless",
       "expected one of \"refused\", \"random\""},
      {by + R"({"kind": "sticky", "weights": [1, 1], "salt": -1}})", "$.by.salt", "an integer"},
      {by + R"({"kind": "always", "arm": 256}})", "$.by.arm", "expected an integer from 0 to 255"},
      {by + R"({"kind": "by_key", "part": "part"}})", "$.by",
       "expected a member \"then\", a route policy, got none"},
      {by + R"({"kind": "by_key", "part": "sort", "then": {"kind": "always"}}})", "$.by.part",
       "expected the name of a key of a row, got \"sort\"; there are: part"},
      {by + R"({"kind": "by_context", "weights_for": "part"}})", "$.by.weights_for",
       "there are: by_priority"},
      {by + R"({"kind": "by_context", "weights_for": "by_priority", "then": "sort"}})", "$.by.then",
       "got \"sort\""},
      {by + R"("sort", "options": {"labels": ["one"]}})", "$", "options.labels: expected one for"},
      {by + R"("sort", "options": {"seed": -1}})", "$.options.seed", "expected an integer"},
  };
  add_values(lines, by, "}", "$.by", "expected the name of a route policy",
             {"1", "null", "true", "[]", "\"which\"", "\"part\"", "\"by_weight\""});
  return lines;
}

std::vector<Line> bad_filters() {
  const std::string filter = R"({"kind": "filter", "of": "net", "rule": )";
  std::vector<Line> lines = {
      {R"({"kind": "filter", "of": "net"})", "$", "expected a member \"rule\", a check, got none"},
      {R"({"kind": "filter", "rule": "rewrite"})", "$", "expected a member \"of\""},
      {R"({"kind": "filter", "of": "count", "rule": "rewrite"})", "$.of",
       "expected rows Tensor -> Tensor"},
      {filter + R"({"kind": "dtype_is", "dtype": "float"}})", "$.rule.dtype",
       "expected one of \"float32\""},
      {filter + R"({"kind": "shape_is", "shape": [-2]}})", "$.rule.shape[0]", "of at least -1"},
      {filter + R"({"kind": "all_of", "checks": [{"kind": "finite", "at": 1}]}})",
       "$.rule.checks[0].at", "no such member"},
      {filter + R"({"kind": "field", "name": "x", "check": {"kind": "finite"}}})", "$.rule.kind",
       "expected a kind of a check, got \"field\""},
  };
  add_values(lines, filter, "}", "$.rule", "expected the name of a check",
             {"1", "null", "true", "[]", "\"sort\"", "\"finite\""});
  return lines;
}

std::vector<Line> bad_resilience() {
  const std::string retry = R"({"kind": "retry", "of": "net", )";
  const std::string timeout = R"({"kind": "timeout", "executor": "cpu", "of": "net")";
  const std::string hedge = R"({"kind": "hedge", "executor": "cpu", "of": "net")";
  const std::string breaker = R"({"kind": "breaker", "of": "net", "options": )";
  std::vector<Line> lines = {
      {R"({"kind": "retry"})", "$", "expected a member \"of\""},
      {retry + R"("executor": "cpu", "clock": "clock"})", "$",
       "expected \"executor\" or \"clock\", got both"},
      {retry + R"("clock": "cpu"})", "$.clock", "expected the name of a clock, got \"cpu\""},
      {retry + R"("options": {"attempts": 0}})", "$.options.attempts", "from 1 to 64, got 0"},
      {retry + R"("options": {"attempts": 65}})", "$.options.attempts", "got 65"},
      {retry + R"("options": {"statuses": ["busy"]}})", "$.options.statuses[0]", "got \"busy\""},
      {retry + R"("options": {"budget": {"ratio": -1}}})", "$.options.budget.ratio",
       "expected a number of at least 0.0, got -1"},
      {retry + R"("options": {"budget": {"rate": 1}}})", "$.options.budget.rate",
       "no such member; there are: ratio, per_second, burst"},
      {retry + R"("options": {"backoff": "1s", "max_backoff": 3}})", "$.options.max_backoff",
       "expected a duration"},
      {timeout + "}", "$", "expected a member \"duration\", a duration"},
      {timeout + R"(, "duration": "0s"})", "$.duration", "of at least 1ns, got \"0s\""},
      {timeout + R"(, "duration": 5})", "$.duration", "expected a duration"},
      {R"({"kind": "timeout", "of": "net", "duration": "1s"})", "$", "a member \"executor\""},
      {hedge + R"(, "backup": "count"})", "$.backup", "expected rows Tensor -> Tensor"},
      {hedge + R"(, "options": {"quantile": 1.5}})", "$.options.quantile", "from 0.0 to 1.0"},
      {hedge + R"(, "options": {"quantile": 0}})", "$", "quantile"},
      {hedge + R"(, "options": {"share": 2}})", "$.options.share", "got 2"},
      {R"({"kind": "hedge", "of": "net"})", "$", "expected a member \"executor\""},
      {R"({"kind": "breaker", "of": "net", "executor": "cpu", "clock": "clock"})", "$", "got both"},
      {breaker + R"({"window": 0}})", "$.options.window", "of at least 1, got 0"},
      {breaker + R"({"failure_rate": 1.1}})", "$.options.failure_rate", "from 0.0 to 1.0"},
      {breaker + R"({"failure_rate": 0}})", "$", "failure_rate"},
      {breaker + R"({"open_for": "soon"}})", "$.options.open_for", "expected a duration"},
      {breaker + R"({"failures": "internal"}})", "$.options.failures", "expected a list"},
      {breaker + R"({"least_rows": 101}})", "$", "least_rows"},
  };
  return lines;
}

std::vector<Line> bad_shadows() {
  const std::string shadow =
      R"({"kind": "shadow", "executor": "cpu", "of": "net", "other": "other", "sink": )";
  std::vector<Line> lines = {
      {R"({"kind": "shadow", "executor": "cpu", "of": "net", "sink": "sink"})", "$",
       "expected a member \"other\""},
      {R"({"kind": "shadow", "executor": "cpu", "of": "net", "other": "other"})", "$",
       "expected a member \"sink\", a sink of comparisons, got none"},
      {R"({"kind": "shadow", "executor": "cpu", "of": "net", "other": "count", "sink": "sink"})",
       "$.other", "expected rows Tensor -> Tensor"},
      {shadow + R"("sink", "equal": "sink"})", "$.equal", "expected the name of a comparison"},
      {shadow + R"("sink", "equal": {"kind": "near", "tolerance": {"absolute": -1}}})",
       "$.equal.tolerance.absolute", "of at least 0.0, got -1"},
      {shadow + R"("sink", "equal": {"kind": "alike"}})", "$.equal.kind", "there are: exact, near"},
      {shadow + R"("sink", "options": {"share": 1.5}})", "$.options.share", "from 0.0 to 1.0"},
      {shadow + R"("sink", "options": {"max_rows": 0}})", "$.options.max_rows", "got 0"},
      {shadow + R"("sink", "options": {"deadline": "0s"}})", "$.options.deadline",
       "of at least 1ns"},
      {shadow + R"("sink", "options": {"by": "row"}})", "$.options.by", "\"request\", \"key\""},
      {shadow + R"("sink", "options": {"priority": 3000000000}})", "$.options.priority",
       "an integer from -2147483648 to 2147483647"},
  };
  add_values(lines, shadow, "}", "$.sink", "expected the name of a sink of comparisons",
             {"1", "null", "[]", "{}", "\"sort\""});
  return lines;
}

std::vector<Line> bad_values() {
  const std::string constant = R"({"kind": "constant", "name": "c", "value": )";
  std::vector<Line> lines = {
      {R"({"kind": "constant", "name": "c"})", "$", "expected a member \"value\", a tensor"},
      {R"({"kind": "constant", "value": "zero"})", "$", "expected a member \"name\""},
      {R"({"kind": "constant", "name": "", "value": "zero"})", "$.name", "a text of 1 to 128"},
      {constant + R"({"kind": "literal"}})", "$.value", "expected a member \"values\""},
      {constant + R"({"kind": "literal", "values": [1, "2"]}})", "$.value.values[1]",
       "expected a number"},
      {constant + R"({"kind": "literal", "values": [1], "shape": [-1]}})", "$.value.shape[0]",
       "of at least 0"},
      {constant + R"({"kind": "literal", "values": [1, 2, 3], "shape": [2]}})", "$.value", "3"},
      {constant + R"({"kind": "literal", "values": [1], "shape": [1, 1, 1, 1, 1, 1, 1, 1, 1]}})",
       "$.value.shape", "got 9"},
      {constant + R"({"kind": "literal", "values": [],
                      "shape": [9223372036854775807, 9223372036854775807]}})",
       "$.value", "9223372036854775807"},
      {R"({"kind": "ensemble", "members": ["net"], "otherwise": [{"member": 1, "value": "zero"}]})",
       "$", "otherwise: expected a member below 1, got 1"},
      {R"({"kind": "ensemble", "members": ["net"], "otherwise": [{"value": "zero"}]})",
       "$.otherwise[0]", "expected a member \"member\""},
      {R"({"kind": "ensemble", "members": ["net"], "combiner": "stack"})", "$.combiner",
       "expected the name of a combiner, got \"stack\""},
      {R"({"kind": "ensemble", "members": ["net"], "combiner": {"kind": "stack", "of": "net"}})",
       "$.combiner.of", "no such member"},
  };
  add_values(lines, constant, "}", "$.value", "expected the name of a tensor",
             {"1", "[1]", "null", "\"sort\""});
  return lines;
}

std::vector<Line> bad_json() {
  std::vector<Line> lines = {
      {"", "$", "not JSON: line 1, column 1"},
      {"{", "$", "not JSON"},
      {"nul", "$", "not JSON"},
      {"{\"kind\": \"in_order\",\n \"of\": }", "$.of", "not JSON: line 2, column 8"},
      {"{\"kind\": \"in_order\",\n \"of\": {\"use\": \"net\"", "$.of", "not JSON"},
      {R"({"kind": "pipeline", "stages": ["net", "net" "net"]})", "$.stages[2]", "not JSON"},
      {R"({"kind": "pipeline", "stages": [1, [2, x]]})", "$.stages[1][1]", "not JSON"},
      {R"({"use": "net"} {})", "$", "not JSON"},
      {R"({'use': 'net'})", "$", "not JSON"},
      {R"({"use": "net",})", "$", "not JSON"},
      {R"({"use": "net" /* a comment */})", "$", "not JSON"},
      {"{\"use\": \"net\xff\"}", "$.use", "not JSON"},
      {"{\"use\": \"n\net\"}", "$.use", "not JSON"},
      {R"({"use": "\ud800"})", "$.use", "not JSON"},
      {R"({"use": 01})", "$.use", "not JSON"},
      {R"({"use": NaN})", "$.use", "not JSON"},
      {R"({"a": {"b": 1, "b": 2}})", "$.a", "two members are named \"b\""},
      {std::string(65, '[') + std::string(65, ']'), "$[0][0]", "nested deeper than 64"},
      {std::string(300'000, '['), "$[0]", "nested deeper than 64"},
      {"[" + std::string(1 << 20, ' ') + "]", "$", "expected at most 1048576 bytes, got 1048578"},
  };
  std::string deep;
  for (int i = 0; i < 60; ++i) deep += "{\"" + std::string(50, 'x') + "\": ";
  lines.push_back({deep + "1", "$.xxxxx", "x...."});
  std::string many = "[0";
  for (int i = 0; i < 70'000; ++i) many += ",0";
  lines.push_back({many + "]", "$[65535]", "more than 65536 values"});
  return lines;
}

}  // namespace

TEST_CASE("a wrong document is told with its place and what was expected", "[io][graph]") {
  const Host host;
  std::size_t seen = 0;
  for (const auto& lines :
       {bad_json(), bad_nodes(), bad_definitions(), bad_options(), bad_policies(), bad_members(),
        bad_routes(), bad_filters(), bad_resilience(), bad_shadows(), bad_values()}) {
    for (const Line& line : lines) {
      const auto graph = host.load(line.json);
      CAPTURE(line.json.substr(0, 300), line.path, line.says);
      REQUIRE_FALSE(graph.has_value());
      CHECK((graph.status() == Status::invalid_argument ||
             graph.status() == Status::failed_precondition));
      CAPTURE(graph.error().detail);
      CHECK(graph.error().detail.compare(0, line.path.size(), line.path) == 0);
      CHECK(graph.error().detail.find(line.says) != std::string::npos);
      CHECK(graph.error().detail.find(": ") != std::string::npos);
      CHECK(graph.error().detail.size() < 1000);
      ++seen;
    }
  }
  CAPTURE(seen);
  CHECK(seen >= 200);
}

TEST_CASE("definitions in their places are bounded, however they multiply", "[io][graph]") {
  const Host host;
  std::string doubling = R"({"define": {"d0": "net")";
  std::string deep = doubling;
  for (int i = 1; i <= 70; ++i) {
    const std::string here = "d" + std::to_string(i), before = "d" + std::to_string(i - 1);
    doubling += ", \"" + here + R"(": {"kind": "pipeline", "stages": [")" + before + "\", \"" +
                before + "\"]}";
    deep += ", \"" + here + R"(": {"kind": "in_order", "of": ")" + before + "\"}";
  }
  const auto many = host.load(doubling + R"(}, "use": "d70"})");
  REQUIRE_FALSE(many.has_value());
  has(many.error().detail, "expected at most 1024 nodes with definitions in their places");
  const auto below = host.load(deep + R"(}, "use": "d70"})");
  REQUIRE_FALSE(below.has_value());
  has(below.error().detail, "expected a graph at most 64 nodes deep");
  CHECK(
      host.load(R"({"kind": "pipeline", "stages": ["net", "net"]})", {.max_nodes = 3}).has_value());
  has(host.load(R"({"kind": "pipeline", "stages": ["net", "net"]})", {.max_nodes = 2})
          .error()
          .detail,
      "$: expected at most 2 nodes");
}

TEST_CASE("what comes behind a null byte is not passed over", "[io][graph]") {
  const std::string text = std::string("{}") + '\0' + "{\"not\": read}";
  const auto parsed = galley::io::parse_json(text);
  REQUIRE(parsed.status() == galley::Status::invalid_argument);
  CHECK(parsed.error().detail == "$: expected JSON, got a null byte at offset 2");
}

TEST_CASE("limits are the host's to set", "[io][graph]") {
  const Host host;
  const std::string good = R"({"kind": "in_order", "of": {"use": "net"}})";
  CHECK(host.load(good, {.json = {.max_bytes = good.size(), .max_depth = 2, .max_values = 4}})
            .has_value());
  CHECK_FALSE(host.load(good, {.json = {.max_bytes = good.size() - 1}}).has_value());
  CHECK_FALSE(host.load(good, {.json = {.max_depth = 1}}).has_value());
  CHECK_FALSE(host.load(good, {.json = {.max_values = 3}}).has_value());
}
