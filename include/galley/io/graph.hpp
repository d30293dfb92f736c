// Graphs as data: a servable of a JSON document, and a document of a servable.
#pragma once

#include <galley/core/servable.hpp>
#include <galley/io/reader.hpp>
#include <galley/io/registry.hpp>
#include <galley/io/schema.hpp>
#include <galley/io/value.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace galley::inline v1 {

// # A document
//
//   {"define": {"net": {"kind": "batched", "executor": "cpu", "of": "model",
//                       "options": {"max_rows": 32},
//                       "policy": {"kind": "size_or_delay", "max_delay": "1ms"}}},
//    "kind": "pipeline", "stages": ["decode", "net", "best_class"]}
//
// The document is a node; `define` and `"$schema"`, for editors, are the outermost's only. A node
// is `{"kind": ..., ...}`, or the name of a servable: of one that `define` gives, or else of one in
// the registry; `"net"` is short for `{"use": "net"}`. Whoever names a definition shares it: it is
// built once, and only where somebody names it. What holds for nodes holds for policies, executors
// and functions too: a text names what the host registered, an object says how to make it. What a
// kind may be given is in `schema_of(registry)`.
//
// # A kind of one's own
//
// A struct whose members are what the document gives, `fields()`, which says so, and `make()`.
// Children are members of type `Servable`, policies and executors of their own types; members
// without a default are `Required`. What galley has is written the same way, a file a combinator in
// `io/graph/`, with a line in `io/graph/support.hpp` that adds it for a pair of row types:
//
//   template <class In, class Out>
//   struct OnKind {
//     io::Required<Executor> executor;
//     io::Required<Servable<In, Out>> of;
//
//     static io::Fields<OnKind> fields() {
//       return io::Fields<OnKind>("The same servable, run on an executor.")
//           .add("executor", &OnKind::executor, "Where it runs.")
//           .add("of", &OnKind::of, "What runs there.")
//           .inputs_from("of")    // its tensors are the child's, and
//           .outputs_from("of");  // what it gives too: joints around it are checked
//     }
//     Servable<In, Out> make() && { return on(*std::move(executor), *std::move(of)); }
//   };
//   registry.add_kind<OnKind<Image, Label>>("on");
//
// Options that are an aggregate already are described by `io::Described<BatchOptions>` and are a
// member like any other; enumerations by their `choices`. A family of policies is a type that each
// of them converts to (`AnyBatchPolicy`), and `registry.add_policy<AnyBatchPolicy, P>(name)` adds
// one. User functions are values of the type of a member: `registry.add_value("by_size",
// std::function<std::size_t(const Image&)>(...))`. For galley's own kinds these types have names:
// `io::RouteFunction<Image>`, `io::RowKey<Image>`, `io::WeightsFor`, `io::FilterFunction<In, Out>`,
// `io::AnyAccept<Label>`, `AnyCheck<Image>`, `io::RowMending<Image>`, `io::EarlyAnswer<In, Out>`,
// `AnyCombiner<Label>`, `io::AnyEqual<Label>`; and who is given something:
// `io::TakeComparison<In, Out>` for a shadow, `io::TakePublisher<In, Out>` for a slot.
//
// # What has no kind
//
// `fan_out` gives a tuple, `expand` and `logic` are functions of the host's around servables, and
// `stacked` of rows that are not tensors has a vector between its parts: their types are the
// program's, and no list of galley's has them. Two ways, both in tests/io/graph_own_kinds_test.cpp:
// the whole is put into the registry and used by its name, or a kind of one's own makes it of
// children that the document gives. Pipelines go on from such a type where `registry.joints<In,
// Out, Tuple>()` says that stages may meet there.

/// What may be said about loading.
struct GraphOptions {
  io::JsonLimits json = {};
  /// How many nodes a graph may have, its definitions put in their places.
  std::size_t max_nodes = 1024;
  /// The tensors that the host hands in and wants back; null where it does not say.
  std::shared_ptr<const Signature> signature = nullptr;
};

/// Asked of a loaded graph by `control`: the document that it was loaded from.
struct GraphSource {
  std::string json = {};
};

namespace io::detail {

struct LoadedGraph {
  ErasedServable servable;
  std::string json;
};
Result<LoadedGraph> load(std::string_view json, const Registry& registry, const RowTypes& rows,
                         const GraphOptions& options);
Result<std::string> read_document(const std::string& path, const JsonLimits& limits);
std::string print(const NodeHeader& node, const Registry& registry);

/// A loaded graph: to look at and to call it is the node that it holds, and it remembers its
/// document.
template <class In, class Out>
class GraphNode {
 public:
  static constexpr const char* kind = "graph";

  GraphNode(Servable<In, Out> graph, std::shared_ptr<const Signature> signature, std::string json)
      : graph_(std::move(graph)), signature_(std::move(signature)), json_(std::move(json)) {}

  NodeTraits traits() const { return graph_.traits(); }
  std::size_t frame_bytes() const { return graph_.node().frame_bytes; }
  void each_child(FunctionRef<void(const NodeHeader&)> visit) const {
    graph_.node().table->each_child(graph_.node(), visit);
  }
  Result<void> prepare(const PrepareScope& scope) const { return graph_.prepare(scope); }
  void pin(Pins& pins) const { graph_.node().table->pin(graph_.node(), pins); }
  void describe(Description& description) const {
    description = graph_.describe();
    if (description.signature == nullptr) description.signature = signature_;
  }
  Result<void> control(ControlRequest& request) const {
    if (auto* source = request.as<GraphSource>()) {
      source->json = json_;
      return {};
    }
    return graph_.node().table->control(graph_.node(), request);
  }

  Outcomes<Out> serve(const Batch<In>& batch, const BatchContext& context) const {
    return graph_.serve_batch(batch, context);
  }
  void submit(Rows<In>&& rows, const BatchContext& context, Frame& frame,
              BatchCompletion<Out> done) const {
    graph_.submit_batch(std::move(rows), context, frame, std::move(done));
  }

 private:
  Servable<In, Out> graph_;
  std::shared_ptr<const Signature> signature_;
  std::string json_;
};

}  // namespace io::detail

/// The servable that a document describes, with what it names taken from the registry.
///
/// Row types are checked at every joint and at both ends, and so are names, dtypes, shapes and
/// devices of tensors where both sides are known. Called, described and reached by path it is the
/// graph as it would be written in C++.
///
/// Errors  invalid_argument: what the document has wrong, with its place and what was expected, as
///         `$.stages[2].options.max_rows: expected an integer from 1 to 1048576, got "many"`;
///         failed_precondition: a composition that cannot be, tensors that do not fit;
///         `registry.check()`
/// Cost    linear in the document, which is bounded, and in the graph; calling it costs one joint
template <class In, class Out>
Result<Servable<In, Out>> load_graph(std::string_view json, const Registry& registry,
                                     const GraphOptions& options = {}) {
  GALLEY_TRY(io::detail::LoadedGraph loaded,
             io::detail::load(json, registry, io::row_types<In, Out>(), options));
  const Servable<In, Out>& graph = loaded.servable.as<In, Out>();
  return Servable<In, Out>::of_node(
      graph.name(), io::detail::GraphNode<In, Out>(graph, std::move(loaded.servable.signature),
                                                   std::move(loaded.json)));
}

/// The same of a file.
///
/// Errors  not_found: there is none to read; others after its path
template <class In, class Out>
Result<Servable<In, Out>> load_graph_file(const std::string& path, const Registry& registry,
                                          const GraphOptions& options = {}) {
  GALLEY_TRY(const std::string json, io::detail::read_document(path, options.json));
  Result<Servable<In, Out>> graph = load_graph<In, Out>(json, registry, options);
  if (!graph.has_value()) return within(path, std::move(graph).error());
  return graph;
}

/// A servable as a document.
///
/// One that was loaded: the document that it was loaded from, in one layout; loading that again
/// gives the same graph, and printing it the same text. Options that were changed since while
/// serving (`SetBatchOptions`) are not in it.
///
/// Any other: what its description says. Servables of the registry are named; what only code can
/// say, a function foremost, is `{"kind": "opaque", "name": ...}`, and executors, policies and
/// functions that a node was given are left out: whoever wants to load it puts them in.
template <class In, class Out>
std::string print_graph(const Servable<In, Out>& servable, const Registry& registry = {}) {
  return io::detail::print(servable.node(), registry);
}

/// What documents may say with this registry, as JSON Schema (2020-12): for editors, and for
/// people.
std::string schema_of(const Registry& registry);

}  // namespace galley::inline v1
