// Random graphs of all combinators, one within the other, each beside a plain function of one row.
#pragma once

#include <galley/core/servable.hpp>
#include <galley/core/slot.hpp>
#include <galley/testing/faults.hpp>
#include <galley/testing/manual_executor.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace mixed {

using galley::Error;
using galley::Outcomes;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::Status;

/// One row as a graph sees it.
struct Row {
  int value = 0;
  galley::Key key = 0;
  galley::VersionId version = 1;  ///< Of the slot that `Maker::publish` writes to.

  Row with(int other) const { return {other, key, version}; }
};

/// What one row becomes, by a plain function. Of an error only the status is meant.
using Meaning = std::function<Result<int>(const Row&)>;

/// A servable and its meaning.
struct Graph {
  Servable<int, int> servable;
  Meaning meaning;
};

/// What may happen to a graph while it is asked.
enum class Weather : std::uint8_t {
  fair,    ///< No time is too short, and what fails at first is tried again often enough.
  faulty,  ///< Calls of leaves go wrong. No graph answers otherwise for that: nothing votes, and no
           ///< fallback asks another for it.
  rough,   ///< The same, and times are short, breakers open, budgets are small.
};

constexpr int modulo(int n, int by) {
  return ((n % by) + by) % by;
}

/// A leaf that reads off `meaning`, with each row's key.
Servable<int, int> spoken(std::string name, Meaning meaning);

/// Draws graphs of maps, later answers and throwers, and of every combinator over those.
class Maker {
 public:
  Maker(unsigned seed, galley::ManualExecutor executor, Weather weather = Weather::fair)
      : random_(seed), executor_(std::move(executor)), weather_(weather) {}

  /// From now on calls of leaves go wrong as `plan` says.
  void strike(std::shared_ptr<galley::FaultPlan> plan) { plan_ = std::move(plan); }
  /// From now on one leaf of each graph is a slot, where it is drawn at all.
  void want_versions() { wants_slot_ = true; }
  /// Publishes the next version of that leaf, which answers otherwise, where there is one; the
  /// number of the latest.
  galley::VersionId publish();
  /// What is done for each row that comes to that leaf.
  void whenever_asked(std::function<void()> what) { *when_asked_ = std::move(what); }
  /// What all leaves own.
  const std::shared_ptr<int>& alive() const { return alive_; }
  /// False once a graph was drawn of which two parts say the same in other words.
  bool has_one_voice() const { return has_one_voice_; }

  int number(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }
  bool one_in(int n) { return number(n) == 0; }
  /// At most so many rows.
  Rows<int> rows(int most);
  std::vector<galley::Key> keys(std::size_t rows);

  /// A graph of at most `depth` combinators one within the other.
  Graph graph(int depth);

 private:
  bool fair() const { return weather_ == Weather::fair; }
  std::string name(const char* what) { return what + std::to_string(next_name_++); }
  std::vector<Graph> several(int least, int most, int depth);

  // In mixed_graphs.cpp. `depth` is of the graphs within.
  Graph leaf();
  Graph slot_leaf();
  Servable<int, int> version(galley::VersionId number);
  Graph joined(int depth);
  Graph handed_on(int depth);
  Graph slotted(int depth);
  Graph batched(int depth);
  Graph ordered(int depth);

  // In mixed_routing_graphs.cpp.
  Graph routed(int depth);
  Graph split_by_key(int depth);
  Graph classified(int depth);
  Graph guarded(int depth);
  Graph filtered(int depth);
  Graph cascaded(int depth);
  Graph backed(int depth);
  Graph remembered(int depth);

  // In mixed_resilience_graphs.cpp.
  Graph timed(int depth);
  Graph retried(int depth);
  Graph hedged(int depth);
  Graph broken(int depth);
  Graph shadowed(int depth);
  Servable<int, int> flaky();

  // In mixed_logic_graphs.cpp.
  Graph voted(int depth);
  Graph expanded(int depth);
  Graph programmed(int depth);
  Graph programmed_together(int depth);
  Graph padded(int depth);

  std::mt19937 random_;
  galley::ManualExecutor executor_;
  Weather weather_;
  std::shared_ptr<galley::FaultPlan> plan_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
  bool has_one_voice_ = true;
  bool wants_slot_ = false;
  std::optional<galley::Publisher<int, int>> publisher_;
  std::shared_ptr<std::function<void()>> when_asked_ = std::make_shared<std::function<void()>>();
  int nodes_left_ = 20;
  int expands_left_ = 2;
  int next_name_ = 0;
};

/// The servables of graphs, in order.
inline std::vector<Servable<int, int>> servables(const std::vector<Graph>& graphs) {
  std::vector<Servable<int, int>> all;
  for (const Graph& graph : graphs) all.push_back(graph.servable);
  return all;
}

}  // namespace mixed
