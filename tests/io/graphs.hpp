// A host for graphs of tensors, and documents that are right.
#pragma once

#include <galley/compose/map.hpp>
#include <galley/core/tensor_rows.hpp>
#include <galley/io/graph.hpp>
#include <galley/io/graph/chain.hpp>
#include <galley/io/graph/filter.hpp>
#include <galley/io/graph/route.hpp>
#include <galley/io/graph/shadow.hpp>
#include <galley/io/graph/slot.hpp>
#include <galley/policy/batch/any.hpp>
#include <galley/testing/manual_executor.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace graphs {

using galley::Tensor;
namespace io = galley::io;

/// A node with a member of each type there is.
struct Everything {
  enum class Mode : std::uint8_t { plain, fancy };
  struct Inner {
    std::optional<double> level;
    std::vector<std::string> names = {"a"};
    static io::Fields<Inner> fields();
  };
  io::Required<std::uint8_t> small;
  bool flag = false;
  double factor = 0.5;
  std::string text = "text";
  Mode mode = Mode::plain;
  galley::Duration wait = std::chrono::milliseconds(2);
  std::vector<std::int64_t> numbers = {1, 2};
  std::vector<Inner> inners = {};
  Inner inner = {};
  std::optional<galley::Servable<Tensor, Tensor>> child;
  std::vector<galley::Servable<Tensor, Tensor>> children;
  std::optional<galley::AnyBatchPolicy> policy;
  std::optional<galley::Executor> executor;

  static io::Fields<Everything> fields();
  galley::Servable<Tensor, Tensor> make() && {
    auto all = galley::map("everything", [](const Tensor& row) { return row; });
    if (child.has_value()) all = all | *child;
    for (const auto& one : children) all = all | one;
    return all;
  }
};

}  // namespace graphs

template <>
struct galley::io::Described<graphs::Everything::Mode> {
  static std::vector<std::pair<std::string, graphs::Everything::Mode>> choices() {
    using Mode = graphs::Everything::Mode;
    return {{"plain", Mode::plain}, {"fancy", Mode::fancy}};
  }
};

namespace graphs {

inline io::Fields<Everything::Inner> Everything::Inner::fields() {
  return io::Fields<Inner>("Inside.")
      .add("level", &Inner::level, "A level.", {.min = -1, .max = 1})
      .add("names", &Inner::names, "Names.", {.max_items = 3});
}

inline io::Fields<Everything> Everything::fields() {
  using E = Everything;
  return io::Fields<E>("A member of each type.")
      .add("small", &E::small, "A small number.", {.min = 3})
      .add("flag", &E::flag, "A flag.")
      .add("factor", &E::factor, "A factor.", {.min = 0, .max = 10})
      .add("text", &E::text, "A text.", {.max_items = 8})
      .add("mode", &E::mode, "A mode.")
      .add("wait", &E::wait, "A time.", {.max = 1e9})
      .add("numbers", &E::numbers, "Numbers.",
           {.min = -5, .max = 5, .min_items = 1, .max_items = 4})
      .add("inners", &E::inners, "Parts.", {.max_items = 2})
      .add("inner", &E::inner, "A part.")
      .add("child", &E::child, "A child.")
      .add("children", &E::children, "Children.", {.max_items = 3})
      .add("policy", &E::policy, "A policy.")
      .add("executor", &E::executor, "An executor.")
      .inputs_from("child");
}

/// What the documents below name.
struct Host {
  galley::ManualExecutor manual;
  galley::Registry registry;

  Host() {
    const auto named = [](const char* name) {
      return galley::map(name, [](const Tensor& row) { return row; });
    };
    registry.add("net", named("net")).add("other", named("other"));
    registry.add_function("count", [](const Tensor& row) { return static_cast<int>(row.numel()); });
    registry.add_executor("cpu", manual);
    registry.add_value("samples", galley::Rows<Tensor>{*Tensor::copy_of({1.F}, {1})});
    registry.add_kind<Everything>("everything");
    add_functions();
  }
  galley::Result<galley::Servable<Tensor, Tensor>> load(
      const std::string& json, const galley::GraphOptions& options = {}) const {
    return galley::load_graph<Tensor, Tensor>(json, registry, options);
  }

 private:
  void add_functions() {
    registry.add_function("which", [](const Tensor& row) -> std::size_t {
      return static_cast<std::size_t>(row.numel() % 2);
    });
    registry.add_value("clock", galley::Clock());
    registry.add_value("zero", *Tensor::copy_of({0.F}, {1}));
    registry.add_value("accept", io::AnyAccept<Tensor>([](const Tensor&) { return true; }));
    registry.add_value("by_priority", io::WeightsFor([](const galley::RouteView& view) {
                         return galley::RouteWeights{1, view.priority > 0 ? 1.0 : 0.0};
                       }));
    registry.add_value("part", io::RowKey<Tensor>([](const Tensor& row) {
                         return static_cast<galley::Key>(row.numel());
                       }));
    registry.add_value("sort", io::RouteFunction<Tensor>([](const Tensor& row) {
                         return static_cast<std::size_t>(row.numel() % 2);
                       }));
    registry.add_value("rewrite", io::FilterFunction<Tensor, Tensor>(
                                      [](const Tensor&, const Tensor& made) { return made; }));
    registry.add_value("sink", io::TakeComparison<Tensor, Tensor>([](const auto&) {}));
    registry.add_value("operator", io::TakePublisher<Tensor, Tensor>([](const auto&) {}));
  }
};

/// Documents that load, with every member there is.
inline std::vector<std::string> good_documents() {
  return {
      R"({"use": "net"})",
      R"({"kind": "pipeline", "stages": ["net", {"use": "other"}, "net"]})",
      R"({"kind": "on", "executor": "cpu", "of": {"kind": "in_order", "of": "net"}})",
      R"({"define": {"a": {"kind": "on", "executor": "cpu", "of": "net"},
                     "b": {"kind": "pipeline", "stages": ["a", "a", "other"]},
                     "unused": {"kind": "in_order", "of": {"use": "b"}}},
          "kind": "pipeline", "stages": ["b", {"use": "a"}, "b"]})",
      R"({"kind": "batched", "executor": "cpu", "of": "net",
          "options": {"max_rows": 32, "sizes": [1, 8, 32], "max_queued_rows": 64,
                      "max_queued_bytes": 65536, "max_running": 2, "max_kinds": 8,
                      "ageing": "10ms", "caller_runs": "never", "infeasible": "keep"},
          "policy": {"kind": "learned_cap", "max_yields": 4, "probe_every": 64}})",
      R"({"kind": "in_order", "of": {"kind": "batched", "executor": "cpu", "of": "net",
          "policy": {"kind": "size_or_delay", "max_rows": 4, "max_delay": "250us"}}})",
      R"({"kind": "batched", "executor": "cpu", "of": {"kind": "padded", "of": "other",
          "options": {"lengths": [2, 4, 8], "axis": 0, "value": 0.5, "output_axis": 0,
                      "check": "samples", "samples": "samples", "merge": "never",
                      "tolerance": {"absolute": 0.001, "relative": 0}}},
          "policy": {"kind": "preferred_sizes", "sizes": [4, 8], "max_delay": "0s"}})",
      R"({"kind": "everything", "small": 7, "flag": true, "factor": 2.5, "text": "hi",
          "mode": "fancy", "wait": "1us", "numbers": [1, -2, 3],
          "inners": [{"level": 0.5, "names": []}, {}], "inner": {"names": ["x", "y"]},
          "child": "net", "children": ["other", {"kind": "in_order", "of": "net"}],
          "policy": {"kind": "learned_cap"}, "executor": "cpu"})",
  };
}

/// The same for what people serve with.
inline std::vector<std::string> good_combinators() {
  return {
      R"({"kind": "route", "by": {"kind": "sticky", "weights": [2, 0.5], "salt": 7,
                                  "keyless": "random"},
          "arms": ["net", {"kind": "in_order", "of": "other"}],
          "options": {"name": "trial", "labels": ["old", "new"], "seed": 3}})",
      R"({"kind": "route", "by": {"kind": "by_context", "weights_for": "by_priority",
                                  "then": {"kind": "by_weight", "weights": [1, 1]}},
          "arms": ["net", "other"]})",
      R"({"kind": "route", "by": {"kind": "by_key", "part": "part",
                                  "then": {"kind": "always", "arm": 1}},
          "arms": ["net", "other"]})",
      R"({"kind": "route", "by": "sort", "arms": [
           {"kind": "route", "classifier": "which", "arms": ["net", "other"]}, "other"]})",
      R"({"kind": "filter", "of": {"kind": "filter", "of": "net", "rule": "rewrite"},
          "rule": {"kind": "all_of", "checks": [{"kind": "finite"},
                                                {"kind": "dtype_is", "dtype": "float32"}]}})",
      R"({"kind": "retry", "executor": "cpu", "of": {"kind": "retry", "clock": "clock",
                                                     "of": "net"},
          "options": {"attempts": 5, "statuses": ["unavailable", "internal"],
                      "budget": {"ratio": 0.5, "per_second": 1, "burst": 7},
                      "backoff": "1ms", "max_backoff": "2ms", "seed": 9}})",
      R"({"kind": "timeout", "executor": "cpu", "of": "net", "duration": "20ms"})",
      R"({"kind": "hedge", "executor": "cpu", "of": "net", "backup": "other",
          "options": {"quantile": 0.9, "least_delay": "1ms", "share": 0.1, "burst": 4}})",
      R"({"kind": "breaker", "executor": "cpu", "of": {"kind": "breaker", "clock": "clock",
                                                       "of": "net"},
          "options": {"failure_rate": 0.1, "window": 50, "least_rows": 5, "open_for": "1s",
                      "probes": 2, "failures": ["internal"]}})",
      R"({"kind": "shadow", "executor": "cpu", "of": "net", "other": "other", "sink": "sink",
          "equal": {"kind": "near", "tolerance": {"absolute": 0.5, "relative": 0}},
          "options": {"share": 1, "by": "key", "max_requests": 2, "max_rows": 3,
                      "max_running": 2, "deadline": "1ms", "priority": -7, "seed": 5}})",
      R"({"kind": "fallback", "chain": [
           "net", {"kind": "constant", "name": "none", "value": "zero"},
           {"kind": "constant", "name": "one",
            "value": {"kind": "literal", "values": [1], "shape": [1]}}],
          "options": {"on": ["unavailable"]}})",
      R"({"kind": "last_good", "of": {"kind": "cascade", "levels": ["net", "other"],
                                      "accept": "accept"},
          "options": {"on": ["internal"], "max_keys": 9, "max_age": "1s"}})",
      R"({"kind": "guard", "check": {"kind": "shape_is", "shape": [-1]},
          "of": {"kind": "ensemble", "members": ["net", "other"], "executor": "cpu",
                 "combiner": {"kind": "weighted_mean", "weights": [1, 3]},
                 "otherwise": [{"member": 1, "value": "zero"}],
                 "options": {"quorum": 1, "cut_off": "1s", "fork": "never"}}})",
      R"({"kind": "slot", "name": "slot", "of": {"kind": "ensemble", "members": ["net"],
                                                 "combiner": {"kind": "stack"}},
          "publisher": "operator", "keep": 2})",
  };
}

}  // namespace graphs
