// Routes, filters, constants and stacks from documents.
#include <galley/compose/ensemble.hpp>
#include <galley/compose/fallback.hpp>
#include <galley/compose/filter.hpp>
#include <galley/compose/guard.hpp>
#include <galley/compose/in_order.hpp>
#include <galley/compose/route.hpp>
#include <galley/io/graph/filter.hpp>
#include <galley/io/graph/route.hpp>
#include <galley/policy/check/finite.hpp>
#include <galley/policy/check/in_range.hpp>

#include <support/has.hpp>

#include <io/twins.hpp>

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

using galley::Error;
using galley::Key;
using galley::Result;
using galley::route;
using galley::RouteView;
using galley::RouteWeights;
using galley::Status;
using galley::Tensor;
using support::has;
using twins::asked;
using twins::check_alike;
using twins::Net;
using twins::number;
using twins::row;
namespace io = galley::io;

namespace {

RouteWeights by_priority(const RouteView& view) {
  return view.priority > 0 ? RouteWeights{0, 1} : RouteWeights{3, 1};
}
Key part_of(const Tensor& one) {
  return static_cast<Key>(number(one) + 100);
}
Result<std::size_t> sign_of(const Tensor& one) {
  if (number(one) == 0) return Error(Status::invalid_argument, "nought");
  return number(one) < 0 ? 1U : 0U;
}

struct Host : twins::Host {
  galley::Servable<Tensor, std::size_t> which = galley::map(
      "which", [](const Tensor& one) { return static_cast<std::size_t>(number(one) < 3); });

  Host() {
    registry.add("which", which).add_value("by_priority", io::WeightsFor(by_priority));
    registry.add_value("part", io::RowKey<Tensor>(part_of));
    registry.add_value("sign", io::RouteFunction<Tensor>(sign_of));
  }
  std::vector<Net> arms() const { return {twice, minus}; }
};

/// A route between both, by this.
std::string by(const std::string& by, const std::string& more = "") {
  return R"({"kind": "route", "by": )" + by + R"(, "arms": ["twice", "minus"])" + more + "}";
}

std::vector<Key> some_keys() {
  std::vector<Key> keys(64);
  std::iota(keys.begin(), keys.end(), Key{17});
  return keys;
}

}  // namespace

TEST_CASE("a route's policy is said, and splits rows as in code", "[io][graph][route]") {
  const Host host;
  check_alike(host, by(R"({"kind": "always"})"), route(galley::always(0), host.arms()));
  check_alike(host, by(R"({"kind": "always", "arm": 1})"), route(galley::always(1), host.arms()));
  check_alike(host, by(R"({"kind": "by_weight", "weights": [3, 1]})"),
              route(galley::by_weight({3, 1}), host.arms()));
  check_alike(host,
              by(R"({"kind": "by_weight", "weights": [0.25, 1]})",
                 R"(, "options": {"name": "trial", "labels": ["old", "new"], "seed": 7})"),
              route(galley::by_weight({0.25, 1}), host.arms(),
                    {.name = "trial", .labels = {"old", "new"}, .seed = 7}));
  check_alike(host, by(R"({"kind": "sticky", "weights": [1, 1]})"),
              route(galley::sticky({1, 1}), host.arms()), some_keys());
  const std::string salted =
      by(R"({"kind": "sticky", "weights": [2, 1], "salt": 99, "keyless": "random"})");
  const Net built =
      route(galley::sticky({2, 1}, {.salt = 99, .keyless = galley::Keyless::random}), host.arms());
  check_alike(host, salted, built);
  check_alike(host, salted, built, some_keys());
}

TEST_CASE("what a route sees of rows and requests is named", "[io][graph][route]") {
  const Host host;
  check_alike(host, by(R"({"kind": "by_context", "weights_for": "by_priority"})"),
              route(galley::by_context(by_priority), host.arms()));
  check_alike(host, by(R"({"kind": "by_context", "weights_for": "by_priority",
                     "then": {"kind": "sticky", "weights": [1, 1], "salt": 4}})"),
              route(galley::by_context(by_priority, galley::sticky({}, {.salt = 4})), host.arms()),
              some_keys());
  const auto graph = host.load(by(R"({"kind": "by_context", "weights_for": "by_priority"})"));
  CHECK(number(*graph->serve(row(4), {.priority = 1})) == -4);
  check_alike(host, by(R"({"kind": "by_key", "part": "part", "then": {"kind": "sticky",
                                                                "weights": [1, 2]}})"),
              route(galley::by_key(part_of, galley::sticky({1, 2})), host.arms()));
  check_alike(host, by("\"sign\""), route(sign_of, host.arms()));
}

TEST_CASE("a classifier is a servable of the document", "[io][graph][route]") {
  const Host host;
  check_alike(host, R"({"kind": "route", "classifier": "which", "arms": ["twice", "minus"]})",
              route(host.which, host.arms()));
  check_alike(host,
              R"({"define": {"c": {"use": "which"}}, "kind": "route", "classifier": "c",
                  "arms": ["minus", {"kind": "in_order", "of": "twice"}]})",
              route(host.which, {host.minus, galley::in_order(host.twice)}));
  const auto printed = print_graph(route(host.which, host.arms()), host.registry);
  CHECK(*io::parse_json(printed) == *io::parse_json(R"({"kind": "route",
      "classifier": {"use": "which"}, "arms": [{"use": "twice"}, {"use": "minus"}],
      "options": {"labels": ["twice", "minus"]}})"));
}

TEST_CASE("a loaded route's weights are set and its rows counted", "[io][graph][route]") {
  const Host host;
  const auto graph = host.load(by(R"({"kind": "by_weight", "weights": [1, 0]})"));
  REQUIRE(graph.has_value());
  CHECK(number(*graph->serve(row(3))) == 6);
  galley::SetWeights set{{0, 1}};
  REQUIRE(graph->control("", set).has_value());
  CHECK(number(*graph->serve(row(3))) == -3);
  galley::RouteStatistics counted;
  REQUIRE(graph->control("", counted).has_value());
  CHECK(counted.labels == std::vector<std::string>{"twice", "minus"});
  CHECK(counted.rows == std::vector<std::uint64_t>{1, 1});
  const auto keyed = host.load(by(R"({"kind": "by_key", "part": "part",
      "then": {"kind": "by_weight", "weights": [1, 0]}})"));
  CHECK(keyed->control("", set).has_value());
  CHECK(number(*keyed->serve(row(3))) == -3);
}

TEST_CASE("a route of C++ is printed with its policy", "[io][graph][route]") {
  const Host host;
  const Net built = route(galley::sticky({2, 1}, {.salt = 5}), host.arms());
  const std::string printed = print_graph(built, host.registry);
  CHECK(*io::parse_json(printed) == *io::parse_json(R"({"kind": "route",
      "arms": [{"use": "twice"}, {"use": "minus"}],
      "by": {"kind": "sticky", "weights": [2.0, 1.0], "salt": 5, "keyless": "refused"},
      "options": {"labels": ["twice", "minus"], "seed": 1}})"));
  const auto again = host.load(printed);
  REQUIRE(again.has_value());
  CHECK(asked(*again, 64, some_keys()) == asked(built, 64, some_keys()));
}

TEST_CASE("a filter's rule is a check or a function", "[io][graph][filter]") {
  Host host;
  const io::FilterFunction<Tensor, Tensor> halve = [](const Tensor& asked,
                                                      const Tensor& made) -> Result<Tensor> {
    if (number(asked) == 7) return Error(Status::not_found, "seven");
    return number(made) > 50 ? row(number(made) / 2) : made;
  };
  host.registry.add_value("halve", halve);
  host.registry.add_value("even", galley::AnyCheck<Tensor>([](const Tensor& made) {
                            return static_cast<int>(number(made)) % 4 == 0;
                          }));
  check_alike(host, R"({"kind": "filter", "of": "twice", "rule": {"kind": "finite"}})",
              filter(galley::finite(), host.twice));
  check_alike(host,
              R"({"kind": "filter", "of": "twice", "rule": {"kind": "all_of", "checks": [
                  {"kind": "dtype_is", "dtype": "float32"}, {"kind": "shape_is", "shape": [1]},
                  {"kind": "in_range", "least": 0, "most": 20}]}})",
              filter(galley::all_of(galley::dtype_is(galley::f32), galley::shape_is({1}),
                                    galley::in_range(0, 20)),
                     host.twice));
  const auto even = host.load(R"({"kind": "filter", "of": "twice", "rule": "even"})");
  CHECK(number(*even->serve(row(4))) == 8);
  CHECK(even->serve(row(3)).status() == Status::invalid_argument);
  check_alike(host, R"({"kind": "filter", "of": "twice", "rule": "halve"})",
              filter(halve, host.twice));
  galley::FilterStatistics counted;
  REQUIRE(even->control("", counted).has_value());
  CHECK(counted.rejected == 1);
}

TEST_CASE("a guard mends rows and answers them by what the host registered", "[io][graph][guard]") {
  Host host;
  const io::RowMending<Tensor> mend{[](const Tensor& asked) -> Result<std::optional<Tensor>> {
    if (number(asked) == 7) return Error(Status::not_found, "seven");
    if (number(asked) >= 0) return std::optional<Tensor>();
    return std::optional(row(0));
  }};
  const io::EarlyAnswer<Tensor, Tensor> known{
      [](const Tensor& asked) -> Result<std::optional<Tensor>> {
        return number(asked) < 9 ? std::optional(row(1)) : std::nullopt;
      }};
  host.registry.add_value("mend", mend).add_value("known", known);
  check_alike(host, R"({"kind": "guard", "of": "twice", "check": "mend"})",
              guard(mend, host.twice));
  check_alike(host, R"({"kind": "guard", "of": "twice", "check": "known"})",
              guard(known, host.twice));
  const auto graph = host.load(
      R"({"kind": "guard", "check": "known", "of": {"kind": "guard", "of": "twice",
                                                    "check": {"kind": "finite"}}})");
  CHECK(number(*graph->serve(row(3))) == 1);
  CHECK(number(*graph->serve(row(9))) == 18);
  has(host.error(R"({"kind": "guard", "of": "twice", "check": "sign"})"),
      "$.check: expected the name of a check, got \"sign\"; there are: known, mend, {\"kind\"");
}

TEST_CASE("a constant is a value of the document or of the host's", "[io][graph][constant]") {
  Host host;
  host.registry.add_value("seven", row(7));
  check_alike(host, R"({"kind": "constant", "name": "no idea", "value": "seven"})",
              galley::constant<Tensor>("no idea", row(7)));
  const auto graph = host.load(R"({"kind": "constant", "name": "grid",
      "value": {"kind": "literal", "values": [1, 2.5, 3, 4], "shape": [2, 2]}})");
  REQUIRE(graph.has_value());
  CHECK(*graph->serve(row(1)) == *Tensor::copy_of({1.F, 2.5F, 3.F, 4.F}, {2, 2}));
  const auto flat = host.load(
      R"({"kind": "constant", "name": "flat", "value": {"kind": "literal", "values": [1, 2]}})");
  CHECK(flat->serve(row(1))->shape() == galley::Shape(2));
  has(host.error(R"({"kind": "constant", "name": "grid",
          "value": {"kind": "literal", "values": [1, 2, 3], "shape": [2, 2]}})"),
      "$.value: ");
}

TEST_CASE("a stack of answers is what a model over them takes", "[io][graph][ensemble]") {
  Host host;
  const Net sum = galley::map("sum", [](const Tensor& all) {
    const auto numbers = *all.span<float>();
    return row(std::accumulate(numbers.begin(), numbers.end(), 0.F));
  });
  host.registry.add("sum", sum);
  check_alike(host,
              R"({"kind": "pipeline", "stages": [
                  {"kind": "ensemble", "combiner": {"kind": "stack"},
                   "members": ["twice", "minus"]},
                  "sum"]})",
              stacked(sum, {host.twice, host.minus}));
}

TEST_CASE("a vote of the document stands in for a member's", "[io][graph][ensemble]") {
  Host host;
  const Net fails = twins::net(
      "fails", [](float) -> Result<float> { return Error(Status::unavailable, "always"); });
  host.registry.add("fails", fails);
  const std::string start =
      R"({"kind": "ensemble", "members": ["twice", "fails"], "combiner": {"kind": "mean"})";
  check_alike(
      host, start + R"(, "otherwise": [
                  {"member": 1, "value": {"kind": "literal", "values": [4]}}]})",
      ensemble(galley::Mean(), {galley::member(host.twice), galley::member(fails, row(4))}));
  has(host.error(start + R"(, "otherwise": [
                  {"member": 2, "value": {"kind": "literal", "values": [4]}}]})"),
      "$: otherwise: expected a member below 2, got 2");
  has(host.error(start + R"(, "otherwise": [{"member": 0, "value": "four"}]})"),
      "$.otherwise[0].value: expected the name of a tensor");
}

TEST_CASE("a combiner that was loaded is called by its own name", "[io][graph][ensemble]") {
  const Host host;
  check_alike(host,
              R"({"kind": "ensemble", "members": ["twice", "minus"],
                  "combiner": {"kind": "weighted_mean", "weights": [1, 3]}})",
              ensemble(galley::WeightedMean{{1, 3}}, {host.twice, host.minus}));
  check_alike(host, R"({"kind": "ensemble", "members": ["twice", "minus"]})",
              ensemble(galley::First(), {host.twice, host.minus}));
  const auto graph = ensemble(galley::WeightedMean{{1, 3}}, {host.twice, host.minus});
  CHECK(*io::parse_json(print_graph(graph, host.registry)) == *io::parse_json(R"(
      {"kind": "ensemble", "members": [{"use": "twice"}, {"use": "minus"}],
       "combiner": {"kind": "weighted_mean", "weights": [1.0, 3.0]}, "options": {"quorum": 0}})"));
}

TEST_CASE("what a document has wrong in routes and filters is said with its place",
          "[io][graph][route]") {
  const Host host;
  has(host.error(R"({"kind": "route", "arms": ["twice"]})"),
      "invalid_argument: $: expected \"by\" or \"classifier\", got neither");
  has(host.error(by("\"sign\"", R"(, "classifier": "which")")),
      "$: expected \"by\" or \"classifier\", got both");
  has(host.error(by("\"which\"")), "$.by: expected the name of a route policy, got \"which\"");
  has(host.error(by(R"({"kind": "by_weight", "weights": [1, 2, 3]})")),
      "$: route(twice, minus): weights: expected one for each of 2 arms");
  has(host.error(by(R"({"kind": "by_weight", "weights": [0, 0]})")), "expected one above 0");
  has(host.error(by(R"({"kind": "by_key", "part": "part", "then": {"kind": "by_key"}})")),
      "$.by.then.kind: expected a kind of a route policy, got \"by_key\"");
  has(host.error(R"({"kind": "route", "classifier": "twice", "arms": ["twice"]})"),
      "$.classifier: expected rows Tensor -> ");
  has(host.error(by("\"sign\"", R"(, "options": {"labels": ["one"]})")), "options.labels");
  has(host.error(R"({"kind": "filter", "of": "twice", "rule": {"kind": "odd"}})"),
      "$.rule.kind: expected a kind of a check, got \"odd\"; there are: all_of, dtype_is, finite");
  has(host.error(R"({"kind": "filter", "of": "twice",
                     "rule": {"kind": "shape_is", "shape": [-2]}})"),
      "$.rule.shape[0]: expected an integer of at least -1");
}
