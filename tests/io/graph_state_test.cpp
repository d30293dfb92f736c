// with_state from documents, and printed as one.
#include <galley/compose/with_state.hpp>
#include <galley/core/named_tensors.hpp>
#include <galley/core/tensor_rows.hpp>
#include <galley/io/graph.hpp>
#include <galley/testing/manual_executor.hpp>

#include <support/has.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <support/catch.hpp>

using galley::Key;
using galley::NamedTensors;
using galley::Result;
using galley::Rows;
using galley::SequenceStart;
using galley::Status;
using galley::Tensor;
using galley::with_state;
using galley::io::parse_json;
using support::has;
using namespace std::chrono_literals;

namespace {

using Model = galley::Servable<NamedTensors, NamedTensors>;

Tensor numbers(const std::vector<float>& values) {
  return *Tensor::copy_of(values, {static_cast<std::int64_t>(values.size())});
}

/// y and the next sum are both numbers of the sum so far, and x.
struct Host {
  galley::ManualExecutor manual;
  galley::Registry registry;
  Model sum = Model("sum", [](const NamedTensors& row) -> Result<NamedTensors> {
    const float x = *row.find("x")->data<float>();
    std::vector<float> next;
    const auto sums = *row.find("sum")->span<float>();
    for (const float so_far : sums) next.push_back(10 * so_far + x);
    return NamedTensors{{"y", numbers(next)}, {"next", numbers(next)}};
  });

  Host() {
    registry.add("sum", sum).add_value("clock", manual.now().clock);
    registry.add_value("begin", numbers({3, 4}))
        .add("plain",
             galley::Servable<Tensor, Tensor>("plain", [](const Tensor& row) { return row; }));
  }
  Result<Model> load(const std::string& json) const {
    return galley::load_graph<NamedTensors, NamedTensors>(json, registry);
  }
};

std::vector<float> step(const Model& model, Key key, float x) {
  const std::array keys{key};
  const Result<NamedTensors> answer =
      model.serve(NamedTensors{{"x", numbers({x})}}, {}, {.keys = keys});
  if (!answer.has_value()) return {};
  const auto y = *answer->find("y")->span<float>();
  return {y.begin(), y.end()};
}

/// A document around "sum" with these options.
std::string document(const std::string& options) {
  return R"({"kind": "with_state", "of": "sum", "options": )" + options + "}";
}

/// With a state of two numbers that begin as `initial` says, a member or nothing.
std::string beginning(const std::string& initial) {
  return document(R"({"tensors": [{"input": "sum", "output": "next")" + initial + "}]}");
}

constexpr const char* literal = R"(, "initial": {"kind": "literal", "values": [0.5, 2]})";

}  // namespace

TEST_CASE("a state's options are said in a document", "[io][graph][with_state]") {
  Host host;
  const std::string json = document(R"({
      "tensors": [{"input": "sum", "output": "next",
                   "initial": {"kind": "literal", "values": [1, 2]}}],
      "start": "asked", "max_sequences": 1, "expiry": "2s", "clock": "clock"})");
  const auto graph = host.load(json);
  INFO((graph.has_value() ? "" : graph.error().detail));
  REQUIRE(graph.has_value());
  CHECK(graph->name() == "with_state(sum)");
  CHECK(*parse_json(print_graph(*graph)) == *parse_json(json));
  CHECK(step(*graph, 7, 5).empty());  // it has to be started
  galley::StartSequence start{7};
  REQUIRE(graph->control("", start).has_value());
  CHECK(step(*graph, 7, 5) == std::vector<float>{15, 25});
  CHECK(step(*graph, 7, 0) == std::vector<float>{150, 250});
  galley::StartSequence other{8};
  CHECK(graph->control("", other).status() == Status::resource_exhausted);
  host.manual.pass(3s);
  CHECK(graph->control("", other).has_value());
  CHECK(step(*graph, 7, 5).empty());
}

TEST_CASE("a state's first value is a literal or named", "[io][graph][with_state]") {
  const Host host;
  CHECK(step(*host.load(beginning(literal)), 1, 0) == std::vector<float>{5, 20});
  CHECK(step(*host.load(beginning(R"(, "initial": "begin")")), 1, 0) == std::vector<float>{30, 40});
  const auto zeros = host.load(beginning(""));  // of what dtype and shape is not known
  REQUIRE_FALSE(zeros.has_value());
  has(zeros.error().detail, "state \"sum\" needs an initial value");
}

TEST_CASE("a with_state of C++ is printed with its options, and loads again",
          "[io][graph][with_state]") {
  const Host host;
  galley::StateOptions options;
  options.tensors = {{"sum", "next", numbers({0.1F, -3})}};
  options.start = SequenceStart::first_row;
  options.max_sequences = 9;
  options.expiry = 1500ms;
  const Model built = with_state(host.sum, options);
  const std::string printed = print_graph(built, host.registry);
  CAPTURE(printed);
  CHECK(*parse_json(printed) == *parse_json(R"({"kind": "with_state", "of": {"use": "sum"},
      "options": {
          "tensors": [{"input": "sum", "output": "next",
                       "initial": {"kind": "literal", "values": [0.1, -3.0], "shape": [2]}}],
          "start": "first_row", "max_sequences": 9, "expiry": "1500ms"}})"));
  const auto again = host.load(printed);
  REQUIRE(again.has_value());
  CHECK(again->describe().options == built.describe().options);
  CHECK(step(*again, 1, 2) == step(built, 1, 2));
  CHECK(print_graph(*again) == print_graph(*host.load(print_graph(*again))));
}

TEST_CASE("several tensors of a state are printed in their order", "[io][graph][with_state]") {
  const Host host;
  galley::StateOptions options;
  options.tensors = {
      {"h", "h2", numbers({1})}, {"c", "c2", numbers({0})}, {"s", "s2", numbers({2})}};
  const auto printed = *parse_json(print_graph(with_state(host.sum, options), host.registry));
  const auto& tensors = *printed.find("options")->find("tensors")->list();
  REQUIRE(tensors.size() == 3);
  CHECK(*tensors[0].find("initial")->find("values") ==
        galley::io::Value(galley::io::Value::List{1.0}));
  CHECK(*tensors[1].find("output") == galley::io::Value("c2"));
  // Zeros too, as the model's signature does not say their shape.
  CHECK(*tensors[1].find("initial")->find("values") ==
        galley::io::Value(galley::io::Value::List{0.0}));
  CHECK(*tensors[2].find("input") == galley::io::Value("s"));
}

TEST_CASE("a first value that JSON does not hold is printed as opaque, which does not load",
          "[io][graph][with_state]") {
  const Host host;
  const auto whole = *Tensor::copy_of(std::vector<std::int64_t>{4}, {1});
  const auto many = numbers(std::vector<float>(65, 1));
  const auto infinite = numbers({std::numeric_limits<float>::infinity()});
  for (const Tensor& initial : {whole, many, infinite}) {
    galley::StateOptions options;
    options.tensors = {{"sum", "next", initial}};
    const std::string printed = print_graph(with_state(host.sum, options), host.registry);
    CAPTURE(printed);
    const auto again = host.load(printed);
    REQUIRE_FALSE(again.has_value());
    has(again.error().detail,
        "$.options.tensors[0].initial.kind: expected a kind of a tensor, "
        "got \"opaque\"");
  }
}

TEST_CASE("what is wrong of a with_state is told with its place", "[io][graph][with_state]") {
  const Host host;
  struct Line {
    std::string json, says;
  };
  const std::string of = R"({"kind": "with_state", "of": )";
  const std::string one = R"({"tensors": [{"input": "sum", "output": "next"}], )";
  const std::vector<Line> lines = {
      {R"({"kind": "with_state"})", "$: expected a member \"of\""},
      {of + R"("sum"})", "$: expected a member \"options\""},
      {of + R"("plain", "options": )" + one + R"("start": "asked"}})",
       "$.of: expected rows NamedTensors -> NamedTensors"},
      {document("{}"), "$.options: expected a member \"tensors\""},
      {document(R"({"tensors": []})"), "$.options.tensors: expected"},
      {document(R"({"tensors": [3]})"), "$.options.tensors[0]: expected an object"},
      {document(R"({"tensors": [{"input": "sum"}]})"),
       "$.options.tensors[0]: expected a member \"output\""},
      {document(R"({"tensors": [{"output": "next"}]})"),
       "$.options.tensors[0]: expected a member \"input\""},
      {document(R"({"tensors": [{"input": "", "output": "next"}]})"),
       "$.options.tensors[0].input: expected"},
      {document(R"({"tensors": [{"input": "sum", "output": "next", "initial": 3}]})"),
       "$.options.tensors[0].initial: expected the name of a tensor"},
      {document(R"({"tensors": [{"input": "sum", "output": "next", "initial": "end"}]})"),
       "$.options.tensors[0].initial: expected"},
      {document(R"({"tensors": [{"input": "sum", "output": "next", "first": 1}]})"),
       "$.options.tensors[0].first: no such member"},
      {document(one + R"("start": "now"})"), "$.options.start: expected one of"},
      {document(one + R"("max_sequences": 0})"), "$.options.max_sequences: expected"},
      {document(one + R"("expiry": "0s"})"), "$.options.expiry: expected a duration"},
      {document(one + R"("expiry": 5})"), "$.options.expiry: expected a duration"},
      {document(one + R"("expiry_ns": 5})"), "$.options.expiry_ns: no such member"},
      {document(one + R"("clock": "wall"})"), "$.options.clock: expected the name of a clock"},
      {document(R"({"tensors": [{"input": "sum", "output": "next", "initial": "begin"},
                               {"input": "sum", "output": "last", "initial": "begin"}]})"),
       "$: with_state(sum): options.tensors: \"sum\" from \"last\" has a name that another has"},
  };
  for (const Line& line : lines) {
    CAPTURE(line.json, line.says);
    const auto graph = host.load(line.json);
    REQUIRE_FALSE(graph.has_value());
    CAPTURE(graph.error().detail);
    CHECK(graph.error().detail.starts_with(line.says));
  }
}

TEST_CASE("a with_state is one of the kinds of a schema", "[io][graph][with_state]") {
  const Host host;
  const auto schema = *parse_json(schema_of(host.registry));
  const auto* node = schema.find("$defs")->find("node.with_state");
  REQUIRE(node != nullptr);
  const auto* options = node->find("properties")->find("options");
  REQUIRE(options != nullptr);
  CHECK(to_json_line(*options).find("max_sequences") != std::string::npos);
}
