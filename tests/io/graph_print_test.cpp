// Graphs printed as documents, their schema, and JSON as data.
#include <galley/compose/batched.hpp>
#include <galley/compose/in_order.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/io/mermaid.hpp>
#include <galley/policy/batch/any.hpp>

#include <support/has.hpp>

#include <io/graphs.hpp>

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include <support/catch.hpp>

using galley::print_graph;
using galley::Result;
using galley::Status;
using galley::Tensor;
using graphs::good_documents;
using graphs::Host;
using support::has;
namespace io = galley::io;

TEST_CASE("what was loaded is printed, loads again, answers the same and prints the same",
          "[io][graph]") {
  const Host host;
  const Tensor row = *Tensor::copy_of({1.F}, {1});
  std::vector<std::string> documents = good_documents();
  for (const std::string& more : graphs::good_combinators()) documents.push_back(more);
  for (const std::string& document : documents) {
    CAPTURE(document);
    const auto graph = host.load(document);
    CAPTURE(graph.has_value() ? "" : graph.error().detail);
    REQUIRE(graph.has_value());
    CHECK(to_mermaid(graph->describe()).starts_with("flowchart LR\n"));
    const std::string printed = print_graph(*graph);
    CHECK(*io::parse_json(printed) == *io::parse_json(document));
    const auto again = host.load(printed);
    REQUIRE(again.has_value());
    CHECK(print_graph(*again) == printed);
    CHECK(again->name() == graph->name());
    CHECK(again->traits() == graph->traits());
    REQUIRE(graph->prepare().has_value());
    REQUIRE(again->prepare().has_value());
    CHECK(again->serve(row) == graph->serve(row));
    CHECK(graph->serve(row).has_value());
  }
}

TEST_CASE("a graph of C++ is printed by its description, functions as opaque", "[io][graph]") {
  Host host;
  const auto half = galley::map("half", [](const Tensor& row) { return row; });
  const auto graph =
      half | in_order(half) | batched(host.manual, half, {.max_rows = 7}, galley::AnyBatchPolicy());
  CHECK(*io::parse_json(print_graph(graph)) == *io::parse_json(R"(
      {"kind": "pipeline", "stages": [
         {"kind": "opaque", "name": "half", "of_kind": "map"},
         {"kind": "in_order", "of": {"kind": "opaque", "name": "half", "of_kind": "map"}},
         {"kind": "batched", "of": {"kind": "opaque", "name": "half", "of_kind": "map"},
          "options": {"max_rows": 7, "max_queued_rows": 4096, "max_running": 1}}]})"));
  has(host.load(print_graph(graph)).error().detail, "$.stages[0]: expected a node, got one that");
  // With the registry, what it has is named: such a graph loads.
  host.registry.add("half", half);
  const auto simple = half | in_order(half);
  const std::string printed = print_graph(simple, host.registry);
  const auto again = host.load(printed);
  REQUIRE(again.has_value());
  CHECK(again->describe().children.size() == 2);
  CHECK(again->name() == simple.name());
}

TEST_CASE("a loaded graph inside one of C++ is printed as its document", "[io][graph]") {
  const Host host;
  const auto inner = host.load(R"({"kind": "on", "executor": "cpu", "of": "net"})");
  REQUIRE(inner.has_value());
  const auto graph = *inner | galley::map("f", [](const Tensor& row) { return row; });
  const auto printed = *io::parse_json(print_graph(graph));
  CHECK((*printed.find("stages")->list())[0] ==
        *io::parse_json(R"({"kind": "on", "executor": "cpu", "of": "net"})"));
}

TEST_CASE("graphs are loaded from files", "[io][graph]") {
  const Host host;
  const std::string path = "galley_graph_test.json";
  struct Remove {
    const std::string& path;
    ~Remove() { std::remove(path.c_str()); }
  };
  const Remove removed{path};
  const auto load = [&] { return galley::load_graph_file<Tensor, Tensor>(path, host.registry); };
  CHECK(load().status() == Status::not_found);
  std::ofstream(path) << R"({"use": "net"})";
  CHECK(load().has_value());
  std::ofstream(path) << R"({"use": "nets"})";
  has(load().error().detail, path + ": $.use: expected the name of a servable");
  std::ofstream(path) << std::string((1 << 20) + 9, ' ');
  has(load().error().detail, path + ": $: expected at most 1048576 bytes");
}

TEST_CASE("the schema says what there is, with bounds, defaults and docs", "[io][graph]") {
  const Host host;
  const io::Value schema = *io::parse_json(schema_of(host.registry));
  const auto at = [&](std::initializer_list<const char*> path) {
    const io::Value* here = &schema;
    for (const char* name : path) {
      CAPTURE(name);
      here = here->find(name);
      REQUIRE(here != nullptr);
    }
    return *here;
  };
  const auto is = [&](const io::Value& got, const std::string& wanted) {
    CAPTURE(to_json_line(got));
    CHECK(got == *io::parse_json(wanted));
  };
  const auto node = at({"$defs", "node.batched", "properties"});
  const io::Value& options = *node.find("options")->find("properties");
  is(*options.find("max_rows"),
     R"({"type": "integer", "minimum": 1, "maximum": 1048576,
         "description": "The most rows a batch may have.", "default": 64})");
  is(*options.find("caller_runs"),
     R"({"enum": ["when_idle", "never"],
         "description": "Whether a caller may run its own batch while the model is free.",
         "default": "when_idle"})");
  is(*node.find("executor"),
     R"({"anyOf": [{"$ref": "#/$defs/named.executor"}], "description": "Where batches run."})");
  is(*node.find("policy")->find("anyOf"), R"([{"$ref": "#/$defs/named.batch%20policy"}])");
  is(at({"$defs", "node.batched", "required"}), R"(["kind", "executor", "of"])");
  is(at({"$defs", "named.executor", "anyOf"}), R"([{"enum": ["cpu"]}])");
  CHECK(at({"$defs", "named.batch policy", "anyOf"}).list()->size() == 3);
  is(at({"$defs", "node.everything", "properties", "wait", "default"}), "\"2ms\"");
  is(at({"$defs", "node.everything", "properties", "numbers"}),
     R"({"type": "array", "items": {"type": "integer", "minimum": -5, "maximum": 5},
         "minItems": 1, "maxItems": 4, "description": "Numbers.", "default": [1, 2]})");
}

TEST_CASE("JSON is read and written as it is", "[io][json]") {
  const std::string all = R"({"z":null,"a":[true,false,-3,2.5,1e300,"\u00e9\"\n"],"":{},)"
                          R"("n":[],"big":9223372036854775807})";
  const io::Value value = *io::parse_json(all);
  CHECK(to_json_line(value) ==
        "{\"z\":null,\"a\":[true,false,-3,2.5,1e+300,\"\xc3\xa9\\\"\\n\"],\"\":{},\"n\":[],"
        "\"big\":9223372036854775807}");
  CHECK(*io::parse_json(to_json(value)) == value);
  CHECK(*value.find("big")->integer() == INT64_MAX);
  CHECK(io::parse_json("9223372036854775808")->number() != nullptr);
  CHECK(io::parse_json("[1.0]")->list()->front().number() != nullptr);
  const io::Path root;
  const io::Path define(root, "define");
  const io::Path name(define, "my \"net\"");
  CHECK(io::Path(name, std::size_t{3}).to_text() == R"($.define["my \"net\""][3])");
  CHECK(io::Path(root, std::string_view("")).to_text() == R"($[""])");
  const std::string long_text(500, 'x');
  CHECK(io::summary(io::Value(long_text)).size() < 70);
}

TEST_CASE("durations are whole numbers of a unit", "[io][json]") {
  CHECK(*io::parse_duration("2ms") == 2'000'000);
  CHECK(*io::parse_duration("0s") == 0);
  CHECK(*io::parse_duration("9223372036s") == 9'223'372'036'000'000'000);
  CHECK_FALSE(io::parse_duration("9223372037s").has_value());
  for (const char* bad : {"", "2", "ms", "-1s", "+1s", " 1s", "1 s", "1.5s", "1h", "0x1s"}) {
    CAPTURE(bad);
    CHECK_FALSE(io::parse_duration(bad).has_value());
  }
  for (const std::int64_t time : {0LL, 1LL, 1500LL, 250'000LL, 2'000'000LL, 60'000'000'000LL}) {
    CHECK(*io::parse_duration(io::duration_text(time)) == time);
  }
  CHECK(io::duration_text(1'500'000) == "1500us");
}
