// Graphs as data: what documents say, and what of them is refused.
#include <galley/core/signature.hpp>
#include <galley/core/type_name.hpp>
#include <galley/io/graph.hpp>
#include <galley/io/graph/support.hpp>
#include <galley/testing/manual_executor.hpp>

#include <support/has.hpp>

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::AnyBatchPolicy;
using galley::BatchOptions;
using galley::load_graph;
using galley::map;
using galley::print_graph;
using galley::Registry;
using galley::Result;
using galley::Servable;
using galley::Signature;
using galley::Status;
namespace io = galley::io;
using support::has;
using namespace std::chrono_literals;

namespace {

struct Label {
  std::string text;
  friend bool operator==(const Label&, const Label&) = default;
};

/// A node of a host's own, with children in a list of objects, as rules and arms are.
struct Switch {
  struct Arm {
    int at = 0;
    io::Required<Servable<int, int>> to;
    static io::Fields<Arm> fields() {
      return io::Fields<Arm>("An arm.")
          .add("at", &Arm::at, "Rows of this number.")
          .add("to", &Arm::to, "Go there.");
    }
  };
  io::Required<std::vector<Arm>> arms;
  std::optional<Servable<int, int>> otherwise;

  static io::Fields<Switch> fields() {
    return io::Fields<Switch>("Goes by number.")
        .add("arms", &Switch::arms, "The arms.", {.min_items = 1, .max_items = 4})
        .add("otherwise", &Switch::otherwise, "Where all others go.")
        .inputs_from("arms");
  }
  Result<Servable<int, int>> make() && {
    if ((*arms).size() == 3) return galley::Error(Status::unavailable, "three are too many");
    return map("switch", [self = std::move(*this)](int n) -> Result<int> {
      for (const Arm& arm : *self.arms) {
        if (arm.at == n) return (*arm.to).serve(n);
      }
      if (self.otherwise.has_value()) return self.otherwise->serve(n);
      return galley::Error(Status::not_found, "no arm");
    });
  }
};

/// One that throws where it is made.
struct Thrower {
  int unused = 0;
  static io::Fields<Thrower> fields() { return io::Fields<Thrower>("Throws."); }
  Servable<int, int> make() const { throw std::runtime_error("no such file"); }
};

/// A rule in a function, and a rule that is described.
using Rule = std::function<int(int)>;
struct Times {
  int factor = 2;
  static io::Fields<Times> fields() {
    return io::Fields<Times>("Multiplies.").add("factor", &Times::factor, "By this.");
  }
  Rule make() const {
    return [factor = factor](int n) { return n * factor; };
  }
};
struct Apply {
  io::Required<Rule> rule;
  std::optional<double> bias;
  static io::Fields<Apply> fields() {
    return io::Fields<Apply>("Applies a rule.")
        .add("rule", &Apply::rule, "The rule.")
        .add("bias", &Apply::bias, "Added to it.", {.min = 0});
  }
  Servable<int, int> make() const {
    return map("apply", [rule = *rule, bias = bias.value_or(0)](int n) {
      return rule(n) + static_cast<int>(bias);
    });
  }
};

/// The same kind for two pairs of row types.
template <class T>
struct Same {
  static io::Fields<Same> fields() { return io::Fields<Same>("Changes nothing."); }
  Servable<T, T> make() const {
    return map("same", [](const T& row) { return row; });
  }
};

struct Host {
  galley::ManualExecutor manual;
  Registry registry;
  int built = 0;

  Host() {
    registry.support<int, int>()
        .joints<std::string, int>()
        .joints<std::string, Label, int>()
        .joints<int, Label>();
    registry.add_executor("manual", manual);
    registry.add_function("twice", [](int n) { return 2 * n; });
    registry.add_function("next", [](int n) { return n + 1; });
    registry.add_function("size",
                          [](const std::string& text) { return static_cast<int>(text.size()); });
    registry.add_function("label", [](int n) { return Label{std::to_string(n)}; });
    registry.add_kind<Switch>("switch").add_kind<Thrower>("thrower").add_kind<Apply>("apply");
    registry.add_kind<Same<int>>("same").add_kind<Same<std::string>>("same");
    registry.add_value("negate", Rule([](int n) { return -n; })).add_policy<Rule, Times>("times");
    REQUIRE(registry.check().has_value());
  }

  Result<Servable<int, int>> load(const std::string& json) const {
    return load_graph<int, int>(json, registry);
  }
  std::string error(const std::string& json) const {
    const auto graph = load(json);
    return graph.has_value() ? "no error" : to_string(graph.error());
  }
};

}  // namespace

TEST_CASE("a document names servables, and joins them", "[io][graph]") {
  const Host host;
  CHECK(host.load(R"({"use": "twice"})")->serve(4) == Result<int>(8));
  const auto graph =
      host.load(R"({"kind": "pipeline", "stages": ["twice", {"use": "next"}, "twice"]})");
  REQUIRE(graph.has_value());
  CHECK(graph->serve(4) == Result<int>(18));
  CHECK(graph->name() == "twice | next | twice");
  CHECK(graph->describe().kind == "pipeline");
  CHECK(graph->describe().children.size() == 3);
  CHECK(host.load(R"({"kind": "pipeline", "stages": ["twice"]})")->serve(4) == Result<int>(8));
}

TEST_CASE("a loaded graph is reached, asked and described as the one it holds", "[io][graph]") {
  const Host host;
  const auto graph = host.load(
      R"({"kind": "pipeline", "stages": ["next",
          {"kind": "batched", "executor": "manual", "of": "twice"}]})");
  REQUIRE(graph.has_value());
  galley::BatchStatistics statistics;
  CHECK(graph->control("batched(twice)", statistics).has_value());
  CHECK_FALSE(graph->control("twice", statistics).has_value());
  galley::BatchOptions unknown;
  CHECK(graph->control("", unknown).status() == Status::unimplemented);
  CHECK(graph->traits() == (map("next", [](int n) { return n; }) |
                            galley::batched(host.manual, map("twice", [](int n) { return n; })))
                               .traits());
  CHECK(graph->prepare().has_value());
  CHECK(graph->serve(1) == Result<int>(4));
  int answer = 0;
  graph->submit(2, {}, [&](Result<int> got) { answer = *got; });
  host.manual.run_all();
  CHECK(answer == 6);
}

TEST_CASE("options and policies are those of the document", "[io][graph]") {
  const Host host;
  const auto graph = host.load(R"({"kind": "batched", "executor": "manual", "of": "twice",
      "options": {"max_rows": 6, "sizes": [2, 4], "max_queued_rows": 99, "max_queued_bytes": 4096,
                  "max_running": 3, "max_kinds": 2, "ageing": "5ms", "caller_runs": "never",
                  "infeasible": "keep"},
      "policy": {"kind": "size_or_delay", "max_rows": 3, "max_delay": "250us"}})");
  REQUIRE(graph.has_value());
  galley::BatchPolicyOf<AnyBatchPolicy> asked;
  REQUIRE(graph->control("", asked).has_value());
  const auto* policy = asked.policy.as<galley::SizeOrDelay>();
  REQUIRE(policy != nullptr);
  CHECK(policy->max_rows == 3);
  CHECK(policy->max_delay == 250us);
  const auto description = graph->describe();
  const auto option = [&](const std::string& name) {
    for (const auto& [key, value] : description.options) {
      if (key == name) return value;
    }
    return std::string("none");
  };
  CHECK(option("max_rows") == "6");
  CHECK(option("max_queued_rows") == "99");
  CHECK(option("max_running") == "3");
  has(option("policy"), "SizeOrDelay");
  const auto sizes = host.load(
      R"({"kind": "batched", "executor": "manual", "of": "twice",
          "policy": {"kind": "preferred_sizes", "sizes": [8, 4], "max_delay": "1s"}})");
  REQUIRE(sizes->control("", asked).has_value());
  const auto* preferred = asked.policy.as<galley::PreferredSizes>();
  REQUIRE(preferred != nullptr);
  CHECK(std::vector(preferred->sizes().begin(), preferred->sizes().end()) ==
        std::vector<std::size_t>{4, 8});
  CHECK(preferred->max_wait() == 1s);
}

TEST_CASE("a part with a member that must be given must be given itself", "[io][graph]") {
  struct Outer {
    Switch::Arm arm;
    std::optional<Switch::Arm> other;
    static io::Fields<Outer> fields() {
      return io::Fields<Outer>("An arm.")
          .add("arm", &Outer::arm, "One.")
          .add("other", &Outer::other, "Another.");
    }
    Servable<int, int> make() const { return *arm.to; }
  };
  Host host;
  host.registry.add_kind<Outer>("outer");
  CHECK(host.error(R"({"kind": "outer"})") ==
        "invalid_argument: $: expected a member \"arm\", an object, got none");
  CHECK(host.load(R"({"kind": "outer", "arm": {"to": "twice"}})")->serve(2) == Result<int>(4));
  has(host.error(R"({"kind": "outer", "arm": {"to": "twice"}, "other": {}})"), "$.other: expected");
}

TEST_CASE("a definition is built once, where somebody names it", "[io][graph]") {
  Host host;
  int built = 0;
  host.registry.add_value("count", Rule([&](int n) { return ++built, n; }));
  const auto graph = host.load(
      R"({"define": {"unused": {"kind": "thrower"},
                     "shared": {"kind": "batched", "executor": "manual", "of": "twice"},
                     "twofold": {"kind": "pipeline", "stages": ["shared", "shared"]}},
          "kind": "pipeline", "stages": ["twofold", "shared"]})");
  REQUIRE(graph.has_value());
  CHECK(graph->serve(1) == Result<int>(8));
  galley::BatchStatistics statistics;
  REQUIRE(graph->control("batched(twice)", statistics).has_value());
  CHECK(statistics.inline_runs == 3);
  CHECK(host.error(R"({"define": {"a": {"kind": "thrower"}}, "use": "a"})") ==
        "internal: $.define.a: threw: no such file");
}

TEST_CASE("pipelines of unlike rows are checked when the graph is built", "[io][graph]") {
  const Host host;
  const char* const text = R"({"kind": "pipeline", "stages": ["size", "twice", "next", "label"]})";
  const auto graph = load_graph<std::string, Label>(text, host.registry);
  REQUIRE(graph.has_value());
  CHECK(graph->serve("abc") == Result<Label>(Label{"7"}));
  has(host.error(R"({"kind": "pipeline", "stages": ["twice", "label", "next"]})"),
      "$.stages[2]: expected rows ");
  has(host.error(R"({"kind": "pipeline", "stages": ["twice", "label"]})"),
      "$.stages[1]: expected rows int -> int, got \"label\", int -> ");
  has(host.error(R"({"use": "size"})"), "$: expected rows int -> int, got \"size\", std::");
  has(host.error(R"({"kind": "batched", "executor": "manual", "of": "size"})"),
      "$.of: expected rows int -> int, got \"size\"");
  const auto ends = load_graph<std::string, std::string>(text, host.registry);
  has(ends.error().detail, "$.stages[3]: expected rows int -> std::");
  const auto unsupported = load_graph<float, float>(R"({"kind": "on", "executor": "manual",
      "of": "twice"})",
                                                    host.registry);
  has(unsupported.error().detail,
      "$: expected rows float -> float, got \"on\", which the registry has for");
  Registry without;
  without.add_function("size", [](const std::string&) { return 1; });
  without.add_function("label", [](int) { return Label(); });
  const auto joint = load_graph<std::string, Label>(
      R"({"kind": "pipeline", "stages": ["size", "label"]})", without);
  CHECK(joint.status() == Status::failed_precondition);
  has(joint.error().detail, "by way of int to ");
}

TEST_CASE("which rows are meant is found from what surrounds a node", "[io][graph]") {
  const Host host;
  const auto graph = load_graph<std::string, int>(
      R"({"kind": "pipeline", "stages": [{"kind": "same"}, "size", {"kind": "same"}]})",
      host.registry);
  REQUIRE(graph.has_value());
  CHECK(graph->serve("four") == Result<int>(4));
}

TEST_CASE("a host's kinds have children, rules and lists of both", "[io][graph]") {
  const Host host;
  const auto graph = host.load(
      R"({"kind": "switch", "otherwise": {"kind": "apply", "rule": "negate", "bias": 10},
          "arms": [{"at": 1, "to": "twice"},
                   {"at": 2, "to": {"kind": "apply", "rule": {"kind": "times", "factor": 50}}}]})");
  REQUIRE(graph.has_value());
  CHECK(graph->serve(1) == Result<int>(2));
  CHECK(graph->serve(2) == Result<int>(100));
  CHECK(graph->serve(3) == Result<int>(7));
  CHECK(host.error(
            R"({"kind": "switch", "arms": [{"to": "next"}, {"to": "next"}, {"to": "next"}]})") ==
        "unavailable: $: three are too many");
  has(host.error(R"({"kind": "switch", "arms": [{"to": "next"}, {"to": "size"}]})"),
      "$.arms[1].to: expected rows int -> int, got \"size\"");
  has(host.error(R"({"kind": "apply", "rule": "positive"})"),
      "$.rule: expected the name of a " + std::string(galley::type_name<Rule>()) +
          ", got \"positive\"; there are: negate, {\"kind\": \"times\"}");
}

TEST_CASE("a composition that cannot be is refused with its place", "[io][graph]") {
  Host host;
  host.registry.add("entangled", map("entangled", [](int n) { return n; }) |
                                     Servable<int, int>("m", [](int n) { return n; },
                                                        {.row_independent = false}));
  const auto graph = host.load(R"({"kind": "pipeline", "stages": ["next",
      {"kind": "batched", "executor": "manual", "of": "entangled"}]})");
  CHECK(graph.status() == Status::failed_precondition);
  has(graph.error().detail, "$.stages[1]: batched(entangled | m): its rows depend on");
  has(host.error(R"({"kind": "batched", "executor": "manual", "of": "next",
                     "options": {"max_rows": 100, "max_queued_rows": 10}})"),
      "$: batched(next): options.max_queued_rows: expected at least max_rows");
}

TEST_CASE("tensors are compared at each joint where they are known", "[io][graph]") {
  using galley::Tensor;
  const auto like = [](galley::Shape in, galley::Shape out) {
    return std::make_shared<const Signature>(
        Signature{{{.name = "x", .shape = in}}, {{.name = "y", .shape = out}}});
  };
  const auto same = [](const std::string& name) {
    return map(name, [](const Tensor& row) { return row; });
  };
  const galley::ManualExecutor manual;
  Registry registry;
  registry.add("a", same("a"), like({4}, {8})).add("b", same("b"), like({8}, {2}));
  registry.add("c", same("c"), like({3}, {3})).add("free", same("free"));
  registry.add_executor("manual", manual);
  const auto load = [&](const std::string& json, const galley::GraphOptions& options = {}) {
    return load_graph<Tensor, Tensor>(json, registry, options);
  };
  const std::string on_b = R"({"kind": "on", "executor": "manual", "of": "b"})";
  const auto graph = load(R"({"kind": "pipeline", "stages": ["a", )" + on_b + "]}");
  REQUIRE(graph.has_value());
  CHECK(to_string(*graph->describe().signature) == "(x: float32 [4]) -> (y: float32 [2])");
  CHECK(load(R"({"kind": "pipeline", "stages": ["a", "free", "c"]})").has_value());
  const auto joint =
      load(R"({"kind": "pipeline", "stages": [")" + std::string("c\", ") + on_b + "]}");
  CHECK(joint.status() == Status::failed_precondition);
  has(joint.error().detail, "$.stages[1]: input \"x\": expected float32 [8], got output \"y\"");
  const auto nested = load(R"({"kind": "in_order", "of": {"kind": "pipeline",
      "stages": ["b", {"kind": "in_order", "of": "c"}]}})");
  has(nested.error().detail, "$.of.stages[1]: input");
  CHECK(load("{\"use\": \"a\"}", {.signature = like({4}, {8})}).has_value());
  has(load("{\"use\": \"a\"}", {.signature = like({5}, {8})}).error().detail,
      "$: what the host hands in: input \"x\": expected float32 [4]");
  has(load("{\"use\": \"a\"}", {.signature = like({4}, {9})}).error().detail,
      "$: what the host wants back: input \"y\": expected float32 [9]");
}

TEST_CASE("padding is told from JSON, for tensors and for named ones", "[io][graph]") {
  using galley::NamedTensors;
  using galley::Tensor;
  Registry registry;
  registry.add_function("plain", [](const Tensor& row) { return row; });
  registry.add_function("masked", [](const NamedTensors& row) { return *row.find("x"); });
  registry.add_value("samples", galley::Rows<Tensor>{*Tensor::copy_of({1.F}, {1}),
                                                     *Tensor::copy_of({1.F, 2.F, 3.F}, {3})});
  const auto load = [&](const std::string& of, const std::string& more) {
    return load_graph<Tensor, Tensor>(
        R"({"kind": "padded", "of": ")" + of + R"(", "options": {"lengths": [4, 8])" + more + "}}",
        registry);
  };
  const auto plain = load("plain", R"(, "output_axis": 0, "samples": "samples", "merge": "never",
      "tolerance": {"absolute": 0.5}, "value": -1.5)");
  REQUIRE(plain.has_value());
  REQUIRE(plain->prepare().has_value());
  const Tensor row = *Tensor::copy_of({5.F, 6.F}, {2});
  CHECK(plain->serve(row)->shape() == galley::Shape(2));
  const auto masked = load("masked", R"(, "input": "x", "mask": "there", "check": "trust")");
  REQUIRE(masked.has_value());
  CHECK(masked->serve(row)->shape() == galley::Shape(4));
  has(load("plain", "").error().detail, "options.samples: expected rows to check on");
  has(load("plain", R"(, "samples": "none")").error().detail,
      "$.options.samples: expected the name of a batch of tensors, got \"none\"; there are: "
      "samples");
}

TEST_CASE("a slot's publisher goes to whom the document names", "[io][graph]") {
  Host host;
  std::vector<galley::Publisher<int, int>> publishers;
  host.registry.add_value("operator", io::TakePublisher<int, int>([&](auto publisher) {
                            publishers.push_back(std::move(publisher));
                          }));
  const auto graph = host.load(
      R"({"kind": "slot", "name": "net", "of": "twice", "publisher": "operator", "keep": 1})");
  REQUIRE(graph.has_value());
  REQUIRE(publishers.size() == 1);
  CHECK(graph->serve(5) == Result<int>(10));
  REQUIRE(publishers[0].publish(map("minus", [](int n) { return -n; })).has_value());
  CHECK(graph->serve(5) == Result<int>(-5));
  CHECK(graph->name() == "net");
}

TEST_CASE("a registry tells the first thing that went wrong with it", "[io][graph]") {
  const auto says = [](const Registry& registry, const std::string& text) {
    REQUIRE_FALSE(registry.check().has_value());
    has(registry.check().error().detail, text);
    CHECK(load_graph<int, int>("{}", registry).error() == registry.check().error());
  };
  const auto next = [](int n) { return n + 1; };
  says(Registry().add_function("a", next).add_function("a", next),
       "registry: servable \"a\" is there already");
  says(Registry().add_function("", next), "registry: servable: expected a name of 1 to 128 bytes");
  says(Registry()
           .add_executor("a", galley::ManualExecutor())
           .add_executor("a", galley::ManualExecutor()),
       "registry: executor \"a\" is there already");
  says(Registry().add_kind<Same<int>>("same").add_kind<Same<int>>("same"),
       "registry: kind \"same\" is there already for int -> int");
  says(Registry().add_kind<Same<int>>("apply").add_kind<Apply>("apply"),
       "registry: kind \"apply\"");
  says(Registry().add_kind<Same<int>>("pipeline"), "registry: kind \"pipeline\" is there already");
}

TEST_CASE("a request in flight outlives its graph and the registry", "[io][graph]") {
  std::optional<Host> host(std::in_place);
  const galley::ManualExecutor manual = host->manual;
  std::optional<Servable<int, int>> graph = *host->load(
      R"({"define": {"net": {"kind": "batched", "executor": "manual", "of": "twice"}},
          "kind": "pipeline", "stages": ["next", {"kind": "on", "executor": "manual", "of": "net"},
                                         "net"]})");
  std::vector<Result<int>> answers;
  for (int n = 0; n < 3; ++n) {
    graph->submit(n, {}, [&](Result<int> got) { answers.push_back(std::move(got)); });
  }
  host.reset();
  graph.reset();
  manual.run_all();
  CHECK(answers == std::vector<Result<int>>{4, 8, 12});
}
