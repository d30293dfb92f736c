// A graph from JSON, with a node and a batch policy of the host's own.
#include <galley/galley.hpp>
#include <galley/io/graph.hpp>
#include <galley/io/graph/support.hpp>

#include <chrono>
#include <cmath>
#include <cstdio>

using namespace std::chrono_literals;
namespace io = galley::io;

namespace {

/// A node of the host's: `{"kind": "power", "exponent": 2}`.
struct Power {
  io::Required<double> exponent;

  static io::Fields<Power> fields() {
    return io::Fields<Power>("Raises numbers.")
        .add("exponent", &Power::exponent, "To which power.", {.min = 0, .max = 8});
  }
  galley::Servable<double, double> make() const {
    return galley::map("power", [e = *exponent](double x) { return std::pow(x, e); });
  }
};

/// A batch policy of the host's: waits for pairs, but for no row longer than `patience`.
struct Pairs {
  galley::Duration patience = 1ms;

  static io::Fields<Pairs> fields() {
    return io::Fields<Pairs>("Batches of two.").add("patience", &Pairs::patience, "How long.");
  }
  galley::Duration max_wait() const { return patience; }
  galley::BatchDecision decide(const galley::BatchView& view) const {
    if (view.rows >= 2) return galley::BatchDecision::close(2, galley::CloseReason::full);
    if (view.oldest >= patience) return galley::BatchDecision::close(1, galley::CloseReason::delay);
    return galley::BatchDecision::wait_for(patience - view.oldest);
  }
};

constexpr const char* document = R"({
  "define": {"square": {"kind": "power", "exponent": 2}},
  "kind": "pipeline",
  "stages": ["half",
             {"kind": "batched", "executor": "cpu", "of": "square", "options": {"max_rows": 16},
              "policy": {"kind": "pairs", "patience": "500us"}},
             "show"]
})";

}  // namespace

int main() {
  const galley::ThreadPool pool({.workers = 1});
  galley::Registry registry;
  registry.support<double, double>().joints<double, std::string>();
  registry.add_executor("cpu", pool);
  registry.add_function("half", [](double x) { return x / 2; });
  registry.add_function("show", [](double x) { return "<" + std::to_string(x) + ">"; });
  registry.add_kind<Power>("power").add_policy<galley::AnyBatchPolicy, Pairs>("pairs");

  const auto graph = galley::load_graph<double, std::string>(document, registry);
  if (!graph.has_value()) return std::printf("%s\n", to_string(graph.error()).c_str()), 1;
  std::printf("%s: %s\n", graph->name().c_str(), graph->serve(6)->c_str());

  const std::string printed = galley::print_graph(*graph);
  const auto again = galley::load_graph<double, std::string>(printed, registry);
  std::printf("%s\n", again->serve(6) == graph->serve(6) ? "the same again" : "another graph");

  const auto wrong = galley::load_graph<double, double>(
      R"({"kind": "pipeline", "stages": ["half", {"kind": "power", "exponent": 9}]})", registry);
  std::printf("%s\n", wrong.error().detail.c_str());
  return again->serve(6) == graph->serve(6) && !wrong.has_value() ? 0 : 1;
}

// prints:
// half | batched(power) | show: <9.000000>
// the same again
// $.stages[1].exponent: expected a number from 0.0 to 8.0, got 9
