// What looks at rows: routes, guards and filters; cascades, fallbacks and last good values.
#include <galley/compose/cascade.hpp>
#include <galley/compose/fallback.hpp>
#include <galley/compose/filter.hpp>
#include <galley/compose/guard.hpp>
#include <galley/compose/last_good.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/compose/route.hpp>

#include <laws/mixed.hpp>

#include <optional>
#include <stdexcept>

namespace mixed {

Graph Maker::routed(int depth) {
  const std::vector<Graph> arms = several(1, 3, depth);
  const int n = static_cast<int>(arms.size()), shift = number(10), divisor = 8 + number(20);
  const auto rule = [=](int value) -> Result<int> {
    if (modulo(value, divisor) == 3) throw std::runtime_error("rule");
    if (modulo(value, divisor) == 4) return Error(Status::not_found, "rule");
    if (modulo(value, divisor) == 5) return n;
    return modulo(value + shift, n);
  };
  return {galley::route(rule, servables(arms), {.name = name("route")}),
          [=](const Row& row) -> Result<int> {
            const int rest = modulo(row.value, divisor);
            if (rest == 3 || rest == 5) return Error(Status::internal);
            if (rest == 4) return Error(Status::not_found);
            return arms[static_cast<std::size_t>(modulo(row.value + shift, n))].meaning(row);
          }};
}

Graph Maker::split_by_key(int depth) {
  const std::vector<Graph> arms = several(1, 3, depth);
  std::vector<double> weights(arms.size(), 1);
  weights[0] = 0.5 + number(3);
  const galley::Sticky policy = galley::sticky(galley::RouteWeights(weights),
                                               {.salt = static_cast<std::uint64_t>(number(9))});
  return {galley::route(policy, servables(arms)), [=](const Row& row) {
            const Result<std::size_t> arm =
                policy.route({.arms = arms.size(), .key = row.key, .weights = weights});
            return arms[*arm].meaning(row);
          }};
}

Graph Maker::classified(int depth) {
  const Graph before = graph(depth);
  const std::vector<Graph> arms = several(1, 2, depth);
  const int n = static_cast<int>(arms.size());
  const auto classifier = before.servable | galley::map("class", [n](int value) {
                            return static_cast<std::size_t>(modulo(value, n));
                          });
  return {galley::route(classifier, servables(arms)), [=](const Row& row) -> Result<int> {
            const Result<int> value = before.meaning(row);
            if (!value.has_value()) return value;
            return arms[static_cast<std::size_t>(modulo(*value, n))].meaning(row);
          }};
}

Graph Maker::guarded(int depth) {
  const Graph inner = graph(depth);
  const int divisor = 3 + number(10);
  const auto throws = [](int value) { return modulo(value, 31) == 7; };
  const auto is_bad = [=](int value) {
    if (throws(value)) throw std::runtime_error("check");
    return modulo(value, divisor) == 1;
  };
  const auto is_fit = [=](int value) { return !is_bad(value); };
  const auto mended = [=](int value) {
    return is_bad(value) ? std::optional(value + 1) : std::nullopt;
  };
  const auto answer = [=](int value) {
    return is_bad(value) ? std::optional(-value) : std::nullopt;
  };
  const int way = number(3);
  const Servable<int, int> made = way == 0 ? galley::guard(is_fit, inner.servable)
                                  : way == 1
                                      ? galley::guard(galley::repairing(mended), inner.servable)
                                      : galley::guard(galley::answering(answer), inner.servable);
  return {made, [=, go_on = inner.meaning](const Row& row) -> Result<int> {
            if (throws(row.value)) return Error(Status::internal);
            if (modulo(row.value, divisor) != 1) return go_on(row);
            if (way == 0) return Error(Status::invalid_argument);
            return way == 1 ? go_on(row.with(row.value + 1)) : Result<int>(-row.value);
          }};
}

Graph Maker::filtered(int depth) {
  const Graph inner = graph(depth);
  const int divisor = 3 + number(10);
  const auto rule = [divisor](int value, int made) -> Result<int> {
    if (modulo(made, 37) == 5) throw std::runtime_error("rule");
    if (modulo(made, divisor) == 1) return value;
    if (modulo(made, divisor) == 2) return Error(Status::not_found, "rule");
    return made;
  };
  return {galley::filter(rule, inner.servable),
          [=, before = inner.meaning](const Row& row) -> Result<int> {
            const Result<int> made = before(row);
            if (!made.has_value()) return made;
            if (modulo(*made, 37) == 5) return Error(Status::internal);
            return rule(row.value, *made);
          }};
}

Graph Maker::cascaded(int depth) {
  const std::vector<Graph> levels = several(1, 3, depth);
  const int divisor = 2 + number(4);
  const auto accept = [divisor](int answer) -> Result<bool> {
    if (modulo(answer, 37) == 5) throw std::runtime_error("accept");
    if (modulo(answer, 37) == 6) return Error(Status::not_found, "accept");
    return answer % divisor == 0;
  };
  return {galley::cascade(servables(levels), accept), [=](const Row& row) -> Result<int> {
            for (std::size_t i = 0; i + 1 < levels.size(); ++i) {
              const Result<int> said = levels[i].meaning(row);
              if (!said.has_value()) return said;
              if (modulo(*said, 37) == 5) return Error(Status::internal);
              const Result<bool> settled = accept(*said);
              if (!settled.has_value()) return settled.error();
              if (*settled) return said;
            }
            return levels.back().meaning(row);
          }};
}

Graph Maker::backed(int depth) {
  const std::vector<Graph> levels = several(1, 3, depth);
  galley::StatusSet on = {Status::invalid_argument, Status::internal};
  if (!fair()) on = {Status::invalid_argument, Status::not_found};
  return {galley::fallback(servables(levels), {.on = on}), [=](const Row& row) {
            for (std::size_t i = 0; i + 1 < levels.size(); ++i) {
              const Result<int> said = levels[i].meaning(row);
              if (said.has_value() || !on.contains(said.status())) return said;
            }
            return levels.back().meaning(row);
          }};
}

/// The last value of a key is that of every other row of it, so it is known which stands in.
Graph Maker::remembered(int depth) {
  const Graph inner = graph(depth);
  const Servable<int, int> by_key = inner.servable | spoken(name("key"), [](const Row& row) {
                                      return Result<int>(static_cast<int>(row.key) * 10);
                                    });
  const galley::StatusSet on = {Status::invalid_argument, Status::not_found};
  const Servable<int, int> made = galley::last_good(by_key, {.on = on});
  const auto before = [inner = inner.meaning](const Row& row) -> Result<int> {
    const Result<int> said = inner(row);
    return said.has_value() ? Result<int>(static_cast<int>(row.key) * 10) : said;
  };
  if (!fair()) return {galley::last_good(by_key, {.on = {Status::data_loss}}), before};
  // A value for every key, but for those of which no row has one.
  std::vector<bool> known;
  for (galley::Key key = 0; key < 20; ++key) {
    int value = -100;
    while (value < 100 && !before({value, key}).has_value()) ++value;
    known.push_back(value < 100 && made.serve(value, {}, {.keys = {&key, 1}}).has_value());
  }
  return {made, [=](const Row& row) -> Result<int> {
            const Result<int> said = before(row);
            const bool rescued = !said.has_value() && on.contains(said.status());
            return rescued && known[row.key] ? Result<int>(static_cast<int>(row.key) * 10) : said;
          }};
}

}  // namespace mixed
