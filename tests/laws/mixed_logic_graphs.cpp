// What asks several graphs for a row, or one graph several times: ensembles, expansion, user logic,
// padding.
#include <galley/compose/ensemble.hpp>
#include <galley/compose/expand.hpp>
#include <galley/compose/logic.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/padded.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/policy/combine/any.hpp>

#include <laws/mixed.hpp>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <stdexcept>

namespace mixed {

namespace {

/// A row that came to this was late, stopped or refused, which is nobody's to forgive.
bool is_given_up(Status status) {
  return status == Status::cancelled || status == Status::deadline_exceeded ||
         status == Status::resource_exhausted || status == Status::unavailable ||
         status == Status::failed_precondition;
}

constexpr int forgiven = 41;

// ---- ensembles

enum class Way : std::uint8_t { first, majority, sum };

/// Adds what the members say; throws for some sums.
struct Sum {
  static Result<int> meaning(int sum) {
    if (modulo(sum, 13) == 7) return Error(Status::internal);
    return sum % 1000;
  }
  Result<int> operator()(const galley::Votes<int>& votes) const {
    int sum = 0;
    for (const auto& vote : votes) sum += vote.has_value() ? *vote.value : 0;
    if (modulo(sum, 13) == 7) throw std::runtime_error("an unlucky sum");
    return sum % 1000;
  }
};

/// The plainest words for a vote.
struct Vote {
  Way way;
  std::size_t quorum;  // 0: all, or as many as decide
  std::vector<Meaning> members;
  std::vector<std::optional<int>> otherwise;

  Result<int> operator()(const Row& row) const {
    std::vector<Result<int>> said;
    for (const Meaning& member : members) said.push_back(member(row));
    std::optional<Error> missing;
    std::vector<int> values;
    bool any = false;
    for (std::size_t m = 0; m < said.size(); ++m) {
      any = any || said[m].has_value();
      if (said[m].has_value()) {
        values.push_back(*said[m]);
      } else if (otherwise[m].has_value()) {
        values.push_back(*otherwise[m]);
      } else if (!missing.has_value()) {
        missing = said[m].error();
      }
    }
    if (!any) return missing.has_value() ? *missing : said[0].error();
    const bool enough =
        values.size() >= (quorum == 0 ? said.size() : quorum) || (quorum == 0 && decided(values));
    return enough ? combined(values) : Result<int>(*missing);
  }

 private:
  static auto times(const std::vector<int>& values, int value) {
    return std::ranges::count(values, value);
  }
  static int most_frequent(const std::vector<int>& values) {
    int best = values[0];
    for (const int value : values) {
      if (times(values, value) > times(values, best)) best = value;
    }
    return best;
  }
  bool decided(const std::vector<int>& values) const {
    if (way != Way::majority) return way == Way::first;
    const int best = most_frequent(values);
    return std::ranges::all_of(values, [&](int value) {
      return value == best || times(values, value) < times(values, best);
    });
  }
  Result<int> combined(const std::vector<int>& values) const {
    if (way == Way::first) return values[0];
    if (way == Way::majority) return most_frequent(values);
    int sum = 0;
    for (const int value : values) sum += value;
    return Sum::meaning(sum);
  }
};

galley::AnyCombiner<int> combiner(Way way) {
  if (way == Way::first) return galley::First();
  if (way == Way::majority) return galley::MajorityVote();
  return Sum();
}

// ---- user logic

/// What a row does: it calls either model, some times, and may return early.
struct Program {
  int calls, turns, ends, fails, throws;
  bool forgives;

  bool asks_second(int n, int i) const { return modulo(n + i, turns) == 0; }
  bool is_end(int n) const { return modulo(n, ends) == 1; }
  bool is_failure(int n) const { return modulo(n, fails) == 2; }
  bool is_throw(int n) const { return modulo(n, throws) == 3; }
  bool is_forgiven(Status status) const { return forgives && !is_given_up(status); }

  galley::RowTask<int> run(int n, auto& first, auto& second) const {
    for (int i = 0; i < calls; ++i) {
      if (is_end(n)) co_return n;
      if (is_failure(n)) co_return Error(Status::not_found, "fails at " + std::to_string(n));
      if (is_throw(n)) throw std::runtime_error("at " + std::to_string(n));
      Result<int> found = Error();
      if (asks_second(n, i)) {
        found = co_await second(n);
      } else {
        found = co_await first(n);
      }
      if (!found.has_value() && !is_forgiven(found.status())) co_return found;
      n = found.has_value() ? *found : forgiven;
    }
    co_return n;
  }

  Result<int> meaning(Row row, const Meaning& first, const Meaning& second) const {
    for (int i = 0; i < calls; ++i) {
      const int n = row.value;
      if (is_end(n)) return n;
      if (is_failure(n)) return Error(Status::not_found);
      if (is_throw(n)) return Error(Status::internal);
      const Result<int> found = asks_second(n, i) ? second(row) : first(row);
      if (!found.has_value() && !is_forgiven(found.status())) return found;
      row.value = found.has_value() ? *found : forgiven;
    }
    return row.value;
  }
};

// ---- padding

/// `n`, as a row of numbers that sum to a number of its own.
galley::Tensor spread(int n) {
  std::vector<float> numbers(static_cast<std::size_t>(1 + modulo(n, 6)), 1);
  numbers[0] = static_cast<float>(n);
  const std::size_t length = numbers.size();
  return *galley::Tensor::from(std::move(numbers), {length});
}
int spread_sum(int n) {
  return n + modulo(n, 6);
}
int sum_of(const galley::Tensor& row) {
  const galley::Tensor dense = *row.contiguous();
  const auto numbers = *dense.span<float>();
  float sum = 0;
  for (const float number : numbers) sum += number;
  return static_cast<int>(sum);
}

}  // namespace

Graph Maker::voted(int depth) {
  const std::vector<Graph> drawn = several(1, 3, depth);
  Vote meaning{.way = Way::sum, .quorum = 0, .members = {}, .otherwise = {}};
  const bool may_differ = fair();  // with who has answered
  if (may_differ) {
    meaning.way = static_cast<Way>(number(3));
    if (one_in(2))
      meaning.quorum = static_cast<std::size_t>(number(static_cast<int>(drawn.size()) + 1));
  }
  std::vector<galley::Member<int, int>> members;
  for (const Graph& one : drawn) {
    std::optional<int> otherwise;
    if (may_differ && one_in(5)) otherwise = number(20);
    members.push_back({one.servable, otherwise});
    meaning.members.push_back(one.meaning);
    meaning.otherwise.push_back(otherwise);
  }
  galley::EnsembleOptions options{.quorum = meaning.quorum};
  options.fork = static_cast<galley::EnsembleOptions::Fork>(number(3));
  const auto how = combiner(meaning.way);
  return {one_in(2) ? galley::ensemble(executor_, how, members, options)
                    : galley::ensemble(how, members, options),
          meaning};
}

Graph Maker::expanded(int depth) {
  if (--expands_left_ < 0) return joined(depth);
  const Graph inner = graph(depth);
  const int odd = 6 + number(9);
  const bool forgives = weather_ != Weather::faulty && one_in(2);
  const auto split = [=](const int& n) -> Result<std::vector<int>> {
    if (modulo(n, odd) == 1) return Error(Status::not_found, "no items");
    if (modulo(n, odd) == 2) throw std::runtime_error("no items");
    std::vector<int> items;
    for (int i = 0; i < modulo(n, 4) + (modulo(n, odd) == 3 ? 5 : 0); ++i) {
      items.push_back(n + 7 * i);
    }
    return items;
  };
  // One item after the other.
  const auto collapse = [=](int n, std::size_t items, auto item) -> Result<int> {
    int sum = n;
    for (std::size_t i = 0; i < items; ++i) {
      const Result<int> one = item(i);
      const bool counts = one.has_value() || (forgives && !is_given_up(one.status()));
      if (!counts) return one.error();
      sum = (3 * sum + (one.has_value() ? *one : forgiven)) % 1000;
    }
    return sum;
  };
  const auto collapse_found = [=](const int& n, const galley::ItemOutcomes<int>& found) {
    return collapse(n, found.size(), [&](std::size_t i) -> Result<int> {
      return found[i].has_value() ? Result<int>(*found[i]) : found[i].error();
    });
  };
  return {galley::expand(split, inner.servable, collapse_found,
                         {.max_items = 4, .max_batch = static_cast<std::size_t>(4 + number(12))}),
          [=, of = inner.meaning](const Row& row) -> Result<int> {
            if (modulo(row.value, odd) == 2) return Error(Status::internal);
            const Result<std::vector<int>> items = split(row.value);
            if (!items.has_value()) return items.error();
            if (items->size() > 4) return Error(Status::invalid_argument);
            return collapse(row.value, items->size(),
                            [&](std::size_t i) { return of(row.with((*items)[i])); });
          }};
}

Graph Maker::programmed(int depth) {
  const Graph first = graph(depth), second = graph(depth);
  const Program p{.calls = 1 + number(3),
                  .turns = 2 + number(4),
                  .ends = 3 + number(9),
                  .fails = 5 + number(20),
                  .throws = 7 + number(20),
                  .forgives = fair() && one_in(3)};
  return {galley::logic<int>(
              name("logic"),
              [p](int n, auto& a, auto& b) -> galley::RowTask<int> { return p.run(n, a, b); },
              first.servable, second.servable),
          [=](const Row& row) { return p.meaning(row, first.meaning, second.meaning); }};
}

Graph Maker::programmed_together(int depth) {
  const Graph first = graph(depth), second = graph(depth);
  const int turns = 2 + number(4), plus = number(7);
  const auto f = [=](const galley::Batch<int>& rows, auto& a, auto& b) {
    Outcomes<int> found = a();
    std::vector<galley::RowIndex> again;
    Rows<int> values;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (rows[i] % turns != 0 && found[i].status() != Status::not_found) continue;
      again.push_back(static_cast<galley::RowIndex>(i));
      values.push_back(rows[i] + plus);
    }
    return galley::with_later(std::move(found), again,
                              plus == 0 ? b(again) : b(again, std::move(values)));
  };
  const std::string called = name("logic_batch");
  const bool waits = !first.servable.traits().inline_only || !second.servable.traits().inline_only;
  return {waits || one_in(4)
              ? galley::logic_batch<int>(executor_, called, f, first.servable, second.servable)
              : galley::logic_batch<int>(called, f, first.servable, second.servable),
          [=](const Row& row) {
            const Result<int> found = first.meaning(row);
            if (row.value % turns != 0 && found.status() != Status::not_found) return found;
            return second.meaning(row.with(row.value + plus));
          }};
}

Graph Maker::padded(int depth) {
  const Graph inner = graph(depth);
  galley::Padding options;
  options.lengths = one_in(2) ? std::vector<std::size_t>{6} : std::vector<std::size_t>{2, 3, 7};
  options.check = galley::Padding::Check::trust;
  options.merge = galley::Padding::Merge::never;
  const auto sum = galley::map(name("sum"), [](const galley::Tensor& row) { return sum_of(row); });
  return {galley::map(name("spread"), [](int n) { return spread(n); }) |
              galley::padded(sum | inner.servable, options),
          [of = inner.meaning](const Row& row) { return of(row.with(spread_sum(row.value))); }};
}

}  // namespace mixed
