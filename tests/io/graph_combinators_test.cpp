// Cascades, fallbacks, ensembles and guards from documents.
#include <galley/compose/map.hpp>
#include <galley/io/graph.hpp>
#include <galley/io/graph/support.hpp>
#include <galley/testing/manual_executor.hpp>

#include <support/has.hpp>

#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <support/catch.hpp>

using galley::Error;
using galley::load_graph;
using galley::Registry;
using galley::Result;
using galley::Servable;
using galley::Status;
using support::has;

namespace {

Registry registry() {
  Registry names;
  names.support<double, double>();
  names.add_function("half", [](double x) { return x / 2; });
  names.add_function("square", [](double x) { return x * x; });
  names.add_function("positive", [](double x) -> Result<double> {
    if (x < 0) return Error(Status::unavailable, "negative");
    return x;
  });
  names.add_value("whole", galley::io::AnyAccept<double>(
                               [](double x) -> Result<bool> { return x == std::floor(x); }));
  return names;
}

Result<double> ask(const Registry& names, const std::string& json, double row) {
  const auto graph = load_graph<double, double>(json, names);
  if (!graph.has_value()) return graph.error();
  const auto again = load_graph<double, double>(galley::print_graph(*graph), names);
  REQUIRE(again.has_value());
  CHECK(galley::print_graph(*again) == galley::print_graph(*graph));
  const Result<double> answer = graph->serve(row);
  CHECK(again->serve(row) == answer);
  return answer;
}

}  // namespace

TEST_CASE("a cascade accepts by what the host registered", "[io][graph]") {
  const Registry names = registry();
  const char* json = R"({"kind": "cascade", "levels": ["half", "square"], "accept": "whole"})";
  CHECK(*ask(names, json, 4) == 2);
  CHECK(*ask(names, json, 3) == 9);
}

TEST_CASE("a fallback is asked on the statuses that are listed", "[io][graph]") {
  const Registry names = registry();
  const char* json = R"({"kind": "fallback", "chain": ["positive", "square"]})";
  CHECK(*ask(names, json, 3) == 3);
  CHECK(*ask(names, json, -3) == 9);
  const char* other = R"({"kind": "fallback", "chain": ["positive", "square"],
                          "options": {"on": ["internal", "resource_exhausted"]}})";
  CHECK(ask(names, other, -3).status() == Status::unavailable);
  const char* kept = R"({"kind": "last_good", "of": "positive", "options": {"max_keys": 8}})";
  CHECK(*ask(names, kept, 3) == 3);
}

TEST_CASE("an ensemble's combiner, quorum and executor are said", "[io][graph]") {
  const galley::ManualExecutor executor;
  Registry names = registry();
  names.add_executor("cpu", executor);
  CHECK(*ask(names, R"({"kind": "ensemble", "members": ["half", "square"]})", 4) == 2);
  CHECK(*ask(names, R"({"kind": "ensemble", "members": ["half", "square"],
                        "combiner": {"kind": "mean"}})",
             4) == 9);
  CHECK(*ask(names, R"({"kind": "ensemble", "members": ["half", "square"],
                        "combiner": {"kind": "weighted_mean", "weights": [3, 1]}})",
             4) == 5.5);
  CHECK(*ask(names, R"({"kind": "ensemble", "members": ["positive", "square"], "executor": "cpu",
                        "combiner": {"kind": "mean"}, "options": {"quorum": 1, "fork": "never"}})",
             -4) == 16);
  has(ask(names, R"({"kind": "ensemble", "members": ["half"],
                     "combiner": {"kind": "weighted_mean", "weights": [3, 1]}})",
          4)
          .error()
          .detail,
      "weights");
}

TEST_CASE("a guard's checks are said, and answer for the rows they refuse", "[io][graph]") {
  const Registry names = registry();
  const char* json = R"({"kind": "guard", "of": "half",
                         "check": {"kind": "all_of", "checks": [
                           {"kind": "finite"}, {"kind": "in_range", "least": 0, "most": 10}]}})";
  CHECK(*ask(names, json, 4) == 2);
  CHECK(ask(names, json, 11).status() == Status::invalid_argument);
  CHECK(ask(names, json, std::numeric_limits<double>::quiet_NaN()).status() ==
        Status::invalid_argument);
}

TEST_CASE("what a document has wrong in these is said with its place", "[io][graph]") {
  struct Case {
    const char* json;
    const char* where;
  };
  const Registry names = registry();
  for (const Case& c : std::vector<Case>{
           {R"({"kind": "cascade", "levels": [], "accept": "whole"})", "$.levels"},
           {R"({"kind": "cascade", "levels": ["half"]})", "accept"},
           {R"({"kind": "cascade", "levels": ["half"], "accept": "half"})", "$.accept"},
           {R"({"kind": "fallback", "chain": ["half"], "options": {"on": ["none"]}})",
            "$.options.on[0]"},
           {R"({"kind": "fallback", "chain": ["half", 3]})", "$.chain[1]"},
           {R"({"kind": "ensemble", "members": ["half"], "options": {"quorum": -1}})",
            "$.options.quorum"},
           {R"({"kind": "ensemble", "members": ["half"], "options": {"fork": "maybe"}})",
            "$.options.fork"},
           {R"({"kind": "ensemble", "members": ["half"], "combiner": {"kind": "median"}})",
            "$.combiner"},
           {R"({"kind": "ensemble", "members": ["half"], "options": {"quorum": 2}})", "quorum"},
           {R"({"kind": "guard", "of": "half"})", "check"},
           {R"({"kind": "guard", "of": "half", "check": {"kind": "finite", "most": 1}})",
            "$.check.most"},
           {R"({"kind": "last_good", "of": "half", "options": {"max_keys": 0}})",
            "$.options.max_keys"}}) {
    CAPTURE(c.json);
    const auto graph = load_graph<double, double>(c.json, names);
    REQUIRE_FALSE(graph.has_value());
    has(graph.error().detail, c.where);
  }
}

TEST_CASE("tensors are voted on and accepted by their scores", "[io][graph]") {
  using galley::Tensor;
  Registry names;
  const auto scores = [](std::vector<float> row) {
    return [row](const Tensor&) { return *Tensor::copy_of(std::span<const float>(row), {2}); };
  };
  names.add_function("unsure", scores({0.0F, 0.1F}));
  names.add_function("sure", scores({5.0F, 0.0F}));
  const auto graph = load_graph<Tensor, Tensor>(
      R"({"kind": "guard", "check": {"kind": "shape_is", "shape": [-1]},
          "of": {"kind": "cascade", "accept": {"kind": "confident", "threshold": 0.9},
                 "levels": ["unsure", {"kind": "ensemble", "members": ["unsure", "sure", "sure"],
                                       "combiner": {"kind": "soft_vote"}}]}})",
      names);
  REQUIRE(graph.has_value());
  const std::array<float, 3> row{1, 2, 3};
  const Result<Tensor> answer = graph->serve(*Tensor::copy_of(std::span(row), {3}));
  REQUIRE(answer.has_value());
  CHECK((*answer->span<float>())[0] > 0.8F);
  CHECK(graph->serve(*Tensor::copy_of(std::span(row), {3, 1})).status() ==
        Status::invalid_argument);
}
