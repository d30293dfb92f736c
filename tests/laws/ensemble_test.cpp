// The laws of ensembles: whoever runs the members, each row is answered as a plain vote says.
#include <galley/compose/ensemble.hpp>
#include <galley/testing/faults.hpp>

#include <laws/graphs.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::BatchContext;
using galley::Context;
using galley::EnsembleOptions;
using galley::Fault;
using galley::FaultPlan;
using galley::First;
using galley::MajorityVote;
using galley::ManualExecutor;
using galley::Member;
using galley::RequestRun;
using galley::RowIndex;
using galley::Stack;
using galley::Votes;
using namespace laws;
using namespace std::chrono_literals;

namespace {

/// Adds what the members say; throws for some sums.
struct Sum {
  static int of(int sum) {
    if (sum % 13 == 7) throw std::runtime_error("an unlucky sum");
    return sum % 1000;
  }
  int operator()(const Votes<int>& votes) const {
    int sum = 0;
    for (const auto& vote : votes) sum += vote.has_value() ? *vote.value : 0;
    return of(sum);
  }
};

enum class Way : std::uint8_t { first, majority, sum, stack };

/// An ensemble, and its meaning in the plainest words.
struct Vote {
  Way way = Way::first;
  std::size_t quorum = 0;
  std::vector<Reference> members;
  std::vector<std::string> names;
  std::vector<std::optional<int>> otherwise;

  std::string name() const {
    std::string all;
    for (const std::string& one : names) all += (all.empty() ? "ensemble(" : ", ") + one;
    return all + ")";
  }

  Result<int> operator()(int row) const {
    std::vector<Result<int>> said;
    for (const Reference& member : members) said.push_back(member(row));
    const bool keeps = way == Way::first || way == Way::majority;
    if (keeps && said.size() == 1 && !otherwise[0].has_value()) return said[0];
    const bool any = std::ranges::any_of(said, [](auto& one) { return one.has_value(); });
    for (std::size_t m = 0; m < said.size() && any; ++m) {
      if (!said[m].has_value() && otherwise[m].has_value()) said[m] = *otherwise[m];
    }
    std::vector<int> values;
    for (const auto& one : said) {
      if (one.has_value()) values.push_back(*one);
    }
    const bool decides = way == Way::first || way == Way::majority;
    bool enough = values.size() >= (quorum == 0 ? said.size() : quorum);
    if (quorum == 0 && decides && any) enough = enough || decided(values);
    if (!any || !enough) return too_few(said, values.size(), decides && quorum == 0);
    return combine(said, values);
  }

 private:
  static int most_frequent(const std::vector<int>& values) {
    int best = values[0];
    for (const int value : values) {
      if (std::ranges::count(values, value) > std::ranges::count(values, best)) best = value;
    }
    return best;
  }
  bool decided(const std::vector<int>& values) const {
    if (way == Way::first) return true;
    const int best = most_frequent(values);
    return std::ranges::all_of(values, [&](int value) {
      return value == best || std::ranges::count(values, value) < std::ranges::count(values, best);
    });
  }
  Error too_few(const std::vector<Result<int>>& said, std::size_t answered, bool decides) const {
    const auto missing = [&](std::size_t m) { return !said[m].has_value(); };
    std::size_t m = 0;
    while (m < said.size() && !(missing(m) && !otherwise[m].has_value())) ++m;
    if (m == said.size()) m = 0;  // nobody answered
    Error why = said[m].error();
    if (why.detail.starts_with(names[m] + ": ")) why.detail.erase(0, names[m].size() + 2);
    const std::string count = std::to_string(said.size()), got = std::to_string(answered);
    const std::string wanted = std::to_string(quorum == 0 ? said.size() : quorum);
    return Error(
        why.status,
        (decides ? got + " of " + count + " members answered, which does not decide the vote"
                 : "fewer than " + wanted + " of " + count + " members answered") +
            ": member \"" + names[m] + "\": " + why.detail);
  }
  Result<int> combine(const std::vector<Result<int>>& said, const std::vector<int>& values) const {
    switch (way) {
      case Way::first:
        return values[0];
      case Way::majority:
        return most_frequent(values);
      case Way::sum: {
        int sum = 0;
        for (const int value : values) sum += value;
        if (sum % 13 == 7) return Error(Status::internal, name() + ": threw: an unlucky sum");
        return sum % 1000;
      }
      default: {
        int weighed = 0;
        for (std::size_t m = 0; m < said.size(); ++m) {
          if (!said[m].has_value()) {
            return Error(Status::internal,
                         name() + ": stack: member " + std::to_string(m) + " has not answered");
          }
          weighed = weighed * 3 + *said[m];
        }
        return weighed % 1000;
      }
    }
  }
};

/// Draws ensembles of graphs, and graphs around them.
class EnsembleMaker : public GraphMaker {
 public:
  EnsembleMaker(unsigned seed, const galley::Executor& executor)
      : GraphMaker(seed, executor), executor_(executor) {}

  /// From now on, votes on executors are closed soon.
  void hurry() { hurried_ = true; }

  Graph vote(int depth) {
    Vote meaning;
    meaning.way = static_cast<Way>(number(4));
    const auto k = static_cast<std::size_t>(1 + number(4));
    meaning.quorum = number(2) == 0 ? 0 : static_cast<std::size_t>(number(static_cast<int>(k) + 1));
    std::vector<Member<int, int>> members;
    for (std::size_t m = 0; m < k; ++m) {
      const Graph one = depth > 0 && number(4) == 0 ? around(depth - 1) : graph(1);
      std::optional<int> otherwise;
      if (number(5) == 0) otherwise = number(20);
      members.push_back({one.servable, otherwise});
      meaning.members.push_back(one.reference);
      meaning.names.push_back(one.servable.name());
      meaning.otherwise.push_back(otherwise);
    }
    EnsembleOptions options{.quorum = meaning.quorum};
    options.fork = static_cast<EnsembleOptions::Fork>(number(3));
    return {made(meaning.way, members, options), meaning};
  }

  /// An ensemble between maps, batched, on an executor, behind a slot, in order.
  Graph around(int depth) {
    Graph inner = vote(depth);
    switch (number(7)) {
      case 0:
        return {galley::on(executor_, inner.servable), inner.reference};
      case 1:
        return {batched_by(number(batchings), executor_, inner.servable, options()),
                inner.reference};
      case 2:
        return {galley::slot("slot", inner.servable).servable, inner.reference};
      case 3:
        return {galley::in_order(inner.servable), inner.reference};
      case 4: {
        const Graph before = graph(1);
        return {before.servable | inner.servable, then(before.reference, inner.reference)};
      }
      case 5: {
        const Graph after = graph(1);
        return {inner.servable | after.servable, then(inner.reference, after.reference)};
      }
      default:
        return inner;
    }
  }

 private:
  Servable<int, int> made(Way way, const std::vector<Member<int, int>>& members,
                          const EnsembleOptions& options) {
    const bool forks = number(2) == 0;
    EnsembleOptions how = options;
    if (forks && hurried_) how.cut_off = 1us * number(400);
    const auto of = [&](auto combiner) {
      return forks ? galley::ensemble(executor_, combiner, members, how)
                   : galley::ensemble(combiner, members, how);
    };
    switch (way) {
      case Way::first:
        return of(First{});
      case Way::majority:
        return of(MajorityVote{});
      case Way::sum:
        return of(Sum{});
      default:
        return of(Stack{}) | galley::map("weigh", [](const std::vector<int>& all) {
                 int weighed = 0;
                 for (const int one : all) weighed = weighed * 3 + one;
                 return weighed % 1000;
               });
    }
  }

  galley::Executor executor_;
  bool hurried_ = false;
};

template <class Got>
std::string text_of(const Got& got) {
  return got.has_value() ? std::to_string(*got) : to_string(got.error());
}

/// What is not as the vote says; empty where all is.
std::string difference(const Rows<int>& rows, const Outcomes<int>& outcomes,
                       const Reference& reference) {
  const int wrong = first_wrong(rows, outcomes, reference);
  if (wrong < 0) return {};
  const auto row = static_cast<std::size_t>(wrong);
  if (row >= outcomes.size()) return "another number of rows";
  return "row " + std::to_string(row) + ": got " + text_of(outcomes[row]) + ", wanted " +
         text_of(reference(rows[row]));
}

struct Heard {
  int answers = 0;
  Outcomes<int> outcomes;
  BatchCompletion<int> listen(std::size_t rows) {
    return BatchCompletion<int>(rows, [this](Outcomes<int> heard) {
      ++answers;
      outcomes = std::move(heard);
    });
  }
};

}  // namespace

TEST_CASE("each row is answered as the plain vote says, alone, together, now and later", "[laws]") {
  int values = 0, errors = 0;
  for (unsigned seed = 1; seed <= 2500; ++seed) {
    const ManualExecutor executor({.seed = seed, .order = galley::TaskOrder::shuffled});
    EnsembleMaker make(seed, executor);
    const Graph graph = make.around(1);
    const Rows<int> rows = make.rows(6);
    CAPTURE(seed, graph.servable.name());
    REQUIRE(difference(rows, graph.servable.serve_rows(rows), graph.reference) == "");
    REQUIRE(difference(rows, graph.servable.serve_rows(Rows<int>(rows)), graph.reference) == "");
    Heard heard;
    graph.servable.submit_rows(Rows<int>(rows), {}, heard.listen(rows.size()));
    for (const int row : rows) {
      REQUIRE(agrees(graph.servable.serve(row), graph.reference(row)));
      (graph.reference(row).has_value() ? values : errors) += 1;
    }
    executor.run_all();
    REQUIRE(heard.answers == 1);
    REQUIRE(difference(rows, heard.outcomes, graph.reference) == "");
  }
  CHECK(values > 1500);
  CHECK(errors > 1000);
}

TEST_CASE("rows of many requests in one ensemble are judged each by its own context", "[laws]") {
  for (unsigned seed = 5001; seed <= 5800; ++seed) {
    const ManualExecutor executor({.seed = seed, .order = galley::TaskOrder::shuffled});
    EnsembleMaker make(seed, executor);
    const Graph graph = make.around(1);
    const Rows<int> rows = make.rows(9);
    if (rows.empty()) continue;
    std::vector<Context> contexts(rows.size());
    std::vector<RequestRun> runs;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const bool late = make.number(3) == 0;
      contexts[i].deadline = late ? executor.now() - 1ns : executor.now() + 1h;
      runs.push_back({&contexts[i], 1});
    }
    const BatchContext merged(runs, {});
    const Outcomes<int> outcomes = graph.servable.serve_batch(galley::Batch<int>(rows), merged);
    CAPTURE(seed, graph.servable.name());
    REQUIRE(outcomes.size() == rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (contexts[i].deadline < executor.now()) {
        REQUIRE(outcomes[i].status() == Status::deadline_exceeded);
      } else {
        CAPTURE(i, text_of(outcomes[i]), text_of(graph.reference(rows[i])));
        REQUIRE(agrees(outcomes[i], graph.reference(rows[i])));
      }
    }
  }
}

TEST_CASE("an ensemble whose first is alone is that member", "[laws]") {
  for (unsigned seed = 6001; seed <= 6400; ++seed) {
    const ManualExecutor executor({.seed = seed, .order = galley::TaskOrder::shuffled});
    GraphMaker make(seed, executor);
    const Graph a = make.graph(2);
    const Rows<int> rows = make.rows(6);
    CAPTURE(seed, a.servable.name());
    for (const auto& graph : {galley::ensemble(First{}, {a.servable}),
                              galley::ensemble(MajorityVote{}, {a.servable})}) {
      REQUIRE(difference(rows, graph.serve_rows(rows), a.reference) == "");
      Heard heard;
      graph.submit_rows(Rows<int>(rows), {}, heard.listen(rows.size()));
      executor.run_all();
      REQUIRE(difference(rows, heard.outcomes, a.reference) == "");
    }
  }
}

TEST_CASE("whatever is stopped, late or dropped meanwhile, each row is answered once", "[laws]") {
  int late = 0;
  for (unsigned seed = 7001; seed <= 7800; ++seed) {
    const ManualExecutor executor({.seed = seed, .order = galley::TaskOrder::shuffled});
    EnsembleMaker make(seed, executor);
    if (make.number(2) == 0) make.hurry();
    std::optional graph = make.around(1);
    CAPTURE(seed, graph->servable.name());
    constexpr std::size_t requests = 8;
    std::vector<Heard> heard(requests);
    std::vector<Rows<int>> rows(requests);
    std::vector<std::stop_source> stops(requests);
    for (std::size_t i = 0; i < requests; ++i) {
      rows[i] = make.rows(3);
      Context context;
      if (make.number(3) == 0) context.stop = stops[i].get_token();
      if (make.number(3) == 0) context.deadline = executor.now() + 1us * make.number(300);
      graph->servable.submit_rows(Rows<int>(rows[i]), context, heard[i].listen(rows[i].size()));
      if (make.number(3) == 0) stops[static_cast<std::size_t>(make.number(8))].request_stop();
      if (make.number(3) == 0) executor.run_one();
      if (make.number(3) == 0) executor.advance(1us * make.number(900));
    }
    const Reference reference = graph->reference;
    graph.reset();
    if (make.number(4) == 0) executor.shutdown();
    executor.run_all();
    for (std::size_t i = 0; i < requests; ++i) {
      REQUIRE(heard[i].answers == 1);
      REQUIRE(heard[i].outcomes.size() == rows[i].size());
      for (std::size_t r = 0; r < rows[i].size(); ++r) {
        const auto got = heard[i].outcomes[r];
        if (!got.has_value() && got.status() == Status::deadline_exceeded) ++late;
      }
    }
  }
  CHECK(late > 50);
}

TEST_CASE("whichever call of a member goes wrong, each row is answered once and nothing is kept",
          "[laws]") {
  const Rows<int> numbers{1, 2, 3, 4};
  for (int shape = 0; shape < 6; ++shape) {
    for (const Fault fault :
         {Fault::fails, Fault::throws, Fault::miscounts, Fault::drops, Fault::duplicates}) {
      for (const bool later : {false, true}) {
        bool happened = true;
        for (std::uint64_t nth = 1; happened; ++nth) {
          CAPTURE(shape, std::string(to_string(fault)), later, nth);
          const auto alive = std::make_shared<int>(0);
          {
            const ManualExecutor executor;
            const auto plan = std::make_shared<FaultPlan>(fault, nth);
            const auto plus = galley::map("plus", [alive](int n) -> Result<int> {
              if (n == 3) return Error(Status::invalid_argument, "3");
              return n + 100;
            });
            const auto now = galley::faulty_now(plus, plan);
            const auto once = galley::faulty_later(plus, plan);
            const auto sum = [](const Votes<int>& votes) {
              return *votes[0].value + *votes[1].value;
            };
            const EnsembleOptions forks{.fork = EnsembleOptions::Fork::always};
            const auto graph = [&]() -> Servable<int, int> {
              switch (shape) {
                case 0:
                  return galley::ensemble(First{}, {now, now, now});
                case 1:
                  return galley::ensemble(MajorityVote{}, {now, once, now});
                case 2:
                  return galley::ensemble(executor, MajorityVote{}, {now, now, now}, forks);
                case 3:
                  return galley::ensemble(executor, sum, {once, now, galley::on(executor, once)});
                case 4:
                  return galley::ensemble(sum, {once, once});
                default:
                  return galley::ensemble(First{}, {galley::on(executor, once)});
              }
            }();
            const auto ask = [&]() -> Outcomes<int> {
              if (!later) return graph.serve_rows(numbers);
              Heard heard;
              graph.submit_rows(Rows<int>(numbers), {}, heard.listen(4));
              executor.run_all();
              REQUIRE(heard.answers == 1);
              return std::move(heard.outcomes);
            };
            const Outcomes<int> outcomes = ask();
            happened = plan->happened();
            REQUIRE(outcomes.size() == 4);
            for (std::size_t i = 0; i < 4; ++i) {
              const bool refused = !outcomes[i].has_value();
              if (i != 2 && refused) REQUIRE(happened);
              if (i == 2) REQUIRE(refused);
            }
            executor.run_all();
          }
          REQUIRE(alive.use_count() == 1);
          REQUIRE(nth < 100);
        }
      }
    }
  }
}
