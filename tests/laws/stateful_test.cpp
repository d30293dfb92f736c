// The laws over stateful servables: whatever stands around a state, in whatever batches and in
// whatever order among sequences, each sequence is answered as it would be alone.
#include <galley/compose/batched.hpp>
#include <galley/compose/in_order.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/compose/route.hpp>
#include <galley/compose/with_state.hpp>
#include <galley/core/slot.hpp>
#include <galley/core/tensor_rows.hpp>
#include <galley/policy/batch/size_or_delay.hpp>
#include <galley/testing/faults.hpp>
#include <galley/testing/manual_executor.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::Casualties;
using galley::Context;
using galley::Error;
using galley::Fault;
using galley::FaultPlan;
using galley::Key;
using galley::ManualExecutor;
using galley::NamedTensors;
using galley::Outcomes;
using galley::Result;
using galley::Rows;
using galley::Status;
using galley::Tensor;
using namespace std::chrono_literals;

namespace {

using Graph = galley::Servable<NamedTensors, NamedTensors>;

Tensor number(int value) {
  return *Tensor::copy_of(std::vector<float>{static_cast<float>(value)}, {1});
}
int number_in(const NamedTensors& row, const char* name) {
  return static_cast<int>(*row.find(name)->data<float>());
}
NamedTensors row_of(int value) {
  return {{"x", number(value)}};
}

/// What states there are beneath a graph: those of each stage, by key.
using Memory = std::map<std::pair<int, Key>, int>;

/// What a row of a sequence becomes, and what it leaves in the memory.
using Reference = std::function<Result<int>(Memory&, Key, int)>;

/// A servable and its meaning.
struct Made {
  Graph servable;
  Reference reference;
};

/// What one stage makes of a number and, where it has one, of its state.
struct Stage {
  int factor, offset, divisor;

  Result<int> stateless(int x) const {
    if (x % divisor == 1) return Error(Status::invalid_argument);
    return (x * factor + offset) % 1000;
  }
  /// The next state.
  Result<int> next(int state, int x) const {
    if (x % divisor == 1) return Error(Status::invalid_argument);
    if (throws(x)) return Error(Status::internal);
    return (3 * state + x + 2018) % 1009;
  }
  int answer(int next) const { return (next * factor + offset) % 1000; }
  static bool throws(int x) { return x % 19 == 5; }
};

/// A model of one step, which throws for its whole batch where one row is bad.
Graph step_model(const std::string& name, const Stage& stage) {
  return Graph(name, [stage](const Rows<NamedTensors>& rows) {
    Rows<NamedTensors> survivors;
    Casualties casualties;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const NamedTensors row = rows[i];
      const int x = number_in(row, "x");
      const Result<int> next = stage.next(number_in(row, "state"), x);
      if (next.has_value()) {
        survivors.push_back({{"x", number(stage.answer(*next))}, {"next", number(*next)}});
      } else if (Stage::throws(x) && x % stage.divisor != 1) {
        throw std::runtime_error("bad row");
      } else {
        casualties.append(i, next.error());
      }
    }
    return Outcomes<NamedTensors>(std::move(survivors), std::move(casualties));
  });
}

/// Draws graphs around states.
class Maker {
 public:
  /// What graphs are made of: all there is, or only what answers on the calling thread.
  enum class Parts { all, inline_only };

  Maker(unsigned seed, galley::Executor executor, Parts parts = Parts::all)
      : random_(seed), executor_(std::move(executor)), parts_(parts) {}

  int below(int bound) { return static_cast<int>(random_() % static_cast<unsigned>(bound)); }

  /// A state at least, and what `depth` allows around it.
  Made graph(int depth) {
    if (depth == 0) return stateful();
    switch (below(parts_ == Parts::all ? 9 : 5)) {
      case 0:
        return joined(stateless(), graph(depth - 1));
      case 1:
        return joined(graph(depth - 1), stateless());
      case 2:
        return joined(graph(depth - 1), graph(depth - 1));
      case 3:
        return slotted(graph(depth - 1));
      case 4:
        return routed(graph(depth - 1), graph(depth - 1));
      case 5: {
        Made inner = graph(depth - 1);
        return {galley::on(executor_, inner.servable), inner.reference};
      }
      case 6: {
        Made inner = graph(depth - 1);
        return {galley::in_order(inner.servable), inner.reference};
      }
      default: {
        Made inner = graph(depth - 1);
        return {batched(inner.servable), inner.reference};
      }
    }
  }

  Made stateful(std::shared_ptr<FaultPlan> faults = nullptr) {
    const Stage stage = this->stage();
    const int id = stages_++;
    Graph model = step_model("s" + std::to_string(id), stage);
    if (faults != nullptr) model = galley::faulty_now(std::move(model), std::move(faults));
    galley::StateOptions options;
    options.tensors = {{"state", "next", number(id)}};
    return {galley::with_state(std::move(model), std::move(options)),
            [=](Memory& memory, Key key, int x) -> Result<int> {
              const auto known = memory.find({id, key});
              const Result<int> next = stage.next(known == memory.end() ? id : known->second, x);
              if (!next.has_value()) return next.error();
              memory[{id, key}] = *next;
              return stage.answer(*next);
            }};
  }

  Made stateless() {
    const Stage stage = this->stage();
    return {galley::map("m" + std::to_string(stages_++),
                        [stage](const NamedTensors& row) -> Result<NamedTensors> {
                          const Result<int> one = stage.stateless(number_in(row, "x"));
                          if (!one.has_value()) return one.error();
                          return row_of(*one);
                        }),
            [stage](Memory&, Key, int x) { return stage.stateless(x); }};
  }

  static Made joined(Made a, Made b) {
    return {a.servable | b.servable,
            [a = a.reference, b = b.reference](Memory& memory, Key key, int x) -> Result<int> {
              const Result<int> one = a(memory, key, x);
              return one.has_value() ? b(memory, key, *one) : one;
            }};
  }

  Graph batched(const Graph& inner) {
    galley::BatchOptions options;
    options.max_rows = static_cast<std::size_t>(1 + below(9));
    if (below(2) == 0) options.caller_runs = galley::CallerRuns::never;
    switch (below(3)) {
      case 0:
        return galley::batched(executor_, inner, options);
      case 1:
        return galley::batched(executor_, inner, options, galley::SizeOrDelay{5, 1ms});
      default:
        return galley::batched(executor_, inner, options, galley::SizeOrDelay{.max_rows = 1});
    }
  }

  /// Behind a slot that has seen a version come and go.
  static Made slotted(Made inner) {
    const auto made = galley::slot("slot of " + inner.servable.name(), inner.servable);
    if (made.publisher.publish(inner.servable).has_value()) (void)made.publisher.rollback();
    return {made.servable, inner.reference};
  }

 private:
  Stage stage() { return {below(5) - 2, below(21) - 10, 4 + below(12)}; }

  static Made routed(Made a, Made b) {
    const auto arm = [](int x) { return static_cast<std::size_t>(x % 3 == 0); };
    return {galley::route([arm](const NamedTensors& row) { return arm(number_in(row, "x")); },
                          {a.servable, b.servable}),
            [=, a = a.reference, b = b.reference](Memory& memory, Key key, int x) {
              return arm(x) == 0 ? a(memory, key, x) : b(memory, key, x);
            }};
  }

  std::mt19937 random_;
  galley::Executor executor_;
  Parts parts_;
  int stages_ = 0;
};

/// Rows of some sequences.
struct Stream {
  std::vector<Key> keys;
  std::vector<int> numbers;

  std::size_t size() const { return keys.size(); }
  void add(Key key, int number) {
    keys.push_back(key);
    numbers.push_back(number);
  }
  Rows<NamedTensors> rows(std::size_t first, std::size_t count) const {
    Rows<NamedTensors> chosen;
    for (std::size_t i = first; i < first + count; ++i) chosen.push_back(row_of(numbers[i]));
    return chosen;
  }
  std::span<const Key> keys_of(std::size_t first, std::size_t count) const {
    return std::span(keys).subspan(first, count);
  }
};

Stream drawn(Maker& make, int rows, int sequences) {
  Stream stream;
  for (int i = 0; i < rows; ++i) {
    stream.add(static_cast<Key>(make.below(sequences)), make.below(200) - 100);
  }
  return stream;
}

/// The same rows, each sequence in its order, in another order among sequences.
Stream interleaved_otherwise(Maker& make, const Stream& stream) {
  std::map<Key, std::vector<int>> left;
  for (std::size_t i = 0; i < stream.size(); ++i) {
    left[stream.keys[i]].push_back(stream.numbers[i]);
  }
  Stream other;
  while (!left.empty()) {
    const auto next = std::next(left.begin(), make.below(static_cast<int>(left.size())));
    other.add(next->first, next->second.front());
    next->second.erase(next->second.begin());
    if (next->second.empty()) left.erase(next);
  }
  return other;
}

bool nothing(Status) {
  return false;
}

/// Follows what a graph answers to the rows of its sequences.
class Follower {
 public:
  explicit Follower(Reference reference) : reference_(std::move(reference)) {}

  /// True when a row's outcome is as its sequence's earlier rows say. A row that failed as `may`
  /// allows must have left its sequence as it was, which later rows show.
  template <class Got>
  bool agrees(Key key, int x, const Got& got, bool (*may)(Status) = nothing) {
    const Memory before = memory_;
    const Result<int> wanted = reference_(memory_, key, x);
    if (got.has_value()) return wanted.has_value() && number_in(*got, "x") == *wanted;
    if (!wanted.has_value() && got.status() == wanted.status()) return true;
    memory_ = before;
    return may(got.status());
  }

  /// The first row from `first` on that is not as it should be, or -1.
  int first_wrong(const Stream& stream, std::size_t first, const Outcomes<NamedTensors>& outcomes,
                  bool (*may)(Status) = nothing) {
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
      if (!agrees(stream.keys[first + i], stream.numbers[first + i], outcomes[i], may)) {
        return static_cast<int>(first + i);
      }
    }
    return -1;
  }

 private:
  Reference reference_;
  Memory memory_;
};

/// Serves a stream in batches of up to `most` rows, and finds the first that is wrong.
int first_wrong_in_batches(Maker& make, const Made& graph, const Stream& stream, int most,
                           bool (*may)(Status) = nothing) {
  Follower follower(graph.reference);
  for (std::size_t first = 0; first < stream.size();) {
    const auto drawn_size = static_cast<std::size_t>(1 + make.below(most));
    const std::size_t count = std::min(drawn_size, stream.size() - first);
    const auto outcomes = graph.servable.serve_rows(stream.rows(first, count), {},
                                                    {.keys = stream.keys_of(first, count)});
    if (outcomes.size() != count) return static_cast<int>(first + count);
    const int wrong = follower.first_wrong(stream, first, outcomes, may);
    if (wrong >= 0) return wrong;
    first += count;
  }
  return -1;
}

/// A request that was submitted, and what was heard of it.
struct Asked {
  std::size_t first = 0;
  std::size_t count = 0;
  int answers = 0;
  Outcomes<NamedTensors> heard = {};
  std::stop_source stop = {};
};

void submit(const Graph& graph, const Stream& stream, Asked& asked, const Context& context = {}) {
  graph.submit_rows(
      stream.rows(asked.first, asked.count), context,
      galley::BatchCompletion<NamedTensors>(asked.count,
                                            [&asked](Outcomes<NamedTensors> outcomes) {
                                              ++asked.answers;
                                              asked.heard = std::move(outcomes);
                                            }),
      {.keys = stream.keys_of(asked.first, asked.count)});
}

ManualExecutor shuffled(unsigned seed) {
  return ManualExecutor({.seed = seed, .order = galley::TaskOrder::shuffled});
}

/// What a batcher may answer instead of a row's own outcome.
bool given_up(Status status) {
  return status == Status::cancelled || status == Status::deadline_exceeded ||
         status == Status::resource_exhausted || status == Status::unavailable;
}

/// What a fault makes of the rows that it meets.
bool of_a_fault(Status status) {
  return status == Status::resource_exhausted || status == Status::internal;
}

}  // namespace

TEST_CASE("sequences are answered as each alone, in any batches and in any order among them",
          "[laws][state]") {
  for (unsigned seed = 1; seed <= 800; ++seed) {
    CAPTURE(seed);
    const ManualExecutor executor = shuffled(seed);
    Maker make(seed, executor), same(seed, executor), again(seed, executor);
    const Made alone = make.graph(3), batches = same.graph(3), other = again.graph(3);
    REQUIRE(alone.servable.check().has_value());
    REQUIRE(alone.servable.traits().stateful);
    const Stream stream = drawn(make, 16, 4);
    CAPTURE(alone.servable.name());
    REQUIRE(first_wrong_in_batches(make, alone, stream, 1) == -1);
    REQUIRE(first_wrong_in_batches(make, batches, stream, 9) == -1);
    REQUIRE(first_wrong_in_batches(make, other, interleaved_otherwise(make, stream), 9) == -1);
  }
}

TEST_CASE("requests of different sequences that are submitted at once are answered as served",
          "[laws][state]") {
  for (unsigned seed = 2001; seed <= 2600; ++seed) {
    CAPTURE(seed);
    const ManualExecutor executor = shuffled(seed);
    Maker make(seed, executor);
    const Made graph = make.graph(3);
    CAPTURE(graph.servable.name());
    Follower follower(graph.reference);
    for (int wave = 0; wave < 4; ++wave) {
      Stream stream;
      std::vector<Asked> asked;
      for (Key pair = 0; pair < 3; ++pair) {  // each request has two sequences to itself
        const std::size_t first = stream.size();
        for (int n = 1 + make.below(5); n > 0; --n) {
          stream.add(2 * pair + static_cast<Key>(make.below(2)), make.below(200) - 100);
        }
        asked.push_back({.first = first, .count = stream.size() - first});
      }
      std::vector<std::size_t> order{0, 1, 2};
      std::shuffle(order.begin(), order.end(), std::mt19937(seed));
      for (const std::size_t i : order) submit(graph.servable, stream, asked[i]);
      executor.run_all();
      for (const Asked& one : asked) {
        REQUIRE(one.answers == 1);
        REQUIRE(one.heard.size() == one.count);
        REQUIRE(follower.first_wrong(stream, one.first, one.heard) == -1);
      }
    }
  }
}

TEST_CASE("behind batched, requests of one sequence are in order, and those given up leave no mark",
          "[laws][state]") {
  int left_out = 0;
  for (unsigned seed = 4001; seed <= 4600; ++seed) {
    CAPTURE(seed);
    const ManualExecutor executor = shuffled(seed);
    Maker make(seed, executor, Maker::Parts::inline_only);
    const Made inner = make.graph(3);
    const Graph graph = make.batched(inner.servable);
    CAPTURE(graph.name());
    const Stream stream = drawn(make, 40, 4);
    std::vector<Asked> asked;
    asked.reserve(stream.size());
    for (std::size_t first = 0; first < stream.size();) {
      const std::size_t count =
          std::min(stream.size() - first, static_cast<std::size_t>(1 + make.below(3)));
      Asked& one = asked.emplace_back();
      one.first = first;
      one.count = count;
      Context context{.stop = one.stop.get_token(), .priority = make.below(3)};
      if (make.below(4) == 0) context.deadline = executor.now() + 1us * make.below(2000);
      submit(graph, stream, one, context);
      if (make.below(3) == 0) {
        asked[static_cast<std::size_t>(make.below(static_cast<int>(asked.size())))]
            .stop.request_stop();
      }
      if (make.below(4) == 0) executor.run_one();
      if (make.below(4) == 0) executor.advance(1us * make.below(700));
      first += count;
    }
    executor.run_all();
    Follower follower(inner.reference);
    for (const Asked& one : asked) {
      REQUIRE(one.answers == 1);
      REQUIRE(one.heard.size() == one.count);
      REQUIRE(follower.first_wrong(stream, one.first, one.heard, given_up) == -1);
      for (std::size_t i = 0; i < one.count; ++i) {
        left_out += static_cast<int>(one.heard[i].status() == Status::cancelled);
      }
    }
  }
  CHECK(left_out > 500);
}

TEST_CASE("a model that fails once leaves the sequences of its rows as they were",
          "[laws][state]") {
  int faults = 0;
  for (unsigned seed = 6001; seed <= 6600; ++seed) {
    CAPTURE(seed);
    const ManualExecutor executor = shuffled(seed);
    Maker make(seed, executor);
    constexpr Fault kinds[] = {Fault::fails, Fault::throws, Fault::miscounts};
    const Fault fault = kinds[make.below(3)];
    const auto plan = std::make_shared<FaultPlan>(fault, 1 + seed % 12);
    Made graph = make.stateful(plan);
    for (int around = make.below(4); around > 0; --around) {
      switch (make.below(4)) {
        case 0:
          graph = Maker::joined(make.stateless(), std::move(graph));
          break;
        case 1:
          graph = Maker::slotted(std::move(graph));
          break;
        case 2:
          graph.servable = galley::on(executor, graph.servable);
          break;
        default:
          graph.servable = make.batched(graph.servable);
      }
    }
    CAPTURE(graph.servable.name(), to_string(fault));
    const Stream stream = drawn(make, 24, 4);
    REQUIRE(first_wrong_in_batches(make, graph, stream, 6, of_a_fault) == -1);
    faults += static_cast<int>(plan->happened());
  }
  CHECK(faults > 400);
}
