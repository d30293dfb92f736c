// Registry: what a graph's document may name: servables, executors, kinds of nodes, policies.
#pragma once

#include <galley/compose/map.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/core/exceptions.hpp>
#include <galley/core/executor.hpp>
#include <galley/core/servable.hpp>
#include <galley/io/fields.hpp>
#include <galley/io/reader.hpp>
#include <galley/io/schema.hpp>

#include <concepts>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace galley::inline v1 {

class Registry;

namespace io::detail {

/// How a node of one kind is made for one pair of row types.
struct Overload {
  RowTypes rows;
  std::vector<RowTypes> children;  ///< Of the fields that are servables, in the schema's order.
  std::shared_ptr<const FieldList> fields;
  Result<ErasedServable> (*make)(const FieldList& fields, const Reader& reader) = nullptr;
};
struct NodeKind {
  Schema schema;
  std::vector<Overload> overloads;  ///< None for "pipeline", which is made of joints.
};

/// A thing that is not a servable: of which family, and how it is called there.
struct ThingName {
  Family family;
  std::string name;
  friend bool operator<(const ThingName& a, const ThingName& b) {
    if (a.family.id != b.family.id) return std::less<>()(a.family.id, b.family.id);
    return a.name < b.name;
  }
};
struct Maker {
  Schema schema;
  std::shared_ptr<const FieldList> fields;
  Result<std::shared_ptr<const void>> (*make)(const FieldList& fields,
                                              const Reader& reader) = nullptr;
};

struct JointTypes {
  RowType in, mid, out;
  friend bool operator<(const JointTypes& a, const JointTypes& b) {
    const std::less<> less;
    if (a.in.id != b.in.id) return less(a.in.id, b.in.id);
    if (a.mid.id != b.mid.id) return less(a.mid.id, b.mid.id);
    return less(a.out.id, b.out.id);
  }
};
using Joint = ErasedServable (*)(const ErasedServable&, const ErasedServable&);

/// What a registry holds.
struct Contents {
  std::map<std::string, ErasedServable, std::less<>> servables;
  std::map<std::string, NodeKind, std::less<>> kinds;
  std::map<ThingName, std::shared_ptr<const void>> values;
  std::map<ThingName, Maker> makers;
  std::map<JointTypes, Joint> joints;
  std::vector<RowTypes> supported;
  std::optional<Error> error;
};

/// Adds all that galley has for nodes from In to Out: in <galley/io/graph/support.hpp>.
template <class In, class Out>
struct Support;
/// Compiled in the library.
template <>
struct Support<Tensor, Tensor> {
  static void add(Registry& registry);
};

template <class T>
struct Made {
  using type = T;
};
template <class T>
struct Made<Result<T>> {
  using type = T;
};
/// What a K makes of itself.
template <class K>
using MadeOf = typename Made<std::remove_cvref_t<decltype(std::declval<K>().make())>>::type;

}  // namespace io::detail

/// What a graph's document may name. A value: graphs that were loaded keep what they need of it.
///
/// Every function that adds returns the registry, so that calls can be chained; what goes wrong is
/// kept, and told by `check` and by whoever loads a graph.
///
/// Errors   of `check`: already_exists: the name is taken; invalid_argument: a name that is empty
///          or longer than 128 bytes, or a kind whose fields differ between row types
/// Threads  thread-compatible: one that is no longer changed may be read by any thread
/// Example  examples/graph_from_json.cpp
class Registry {
 public:
  /// All that galley has, for rows from `Tensor` to `Tensor`.
  Registry();

  // ---- what documents name ----

  /// A servable of the host's: `{"use": name}`. `signature` is what it takes and gives where it
  /// does not say so itself; either side may be empty.
  template <class In, class Out>
  Registry& add(std::string name, Servable<In, Out> servable,
                std::shared_ptr<const Signature> signature = nullptr) {
    return add_servable(std::move(name),
                        io::ErasedServable::of(std::move(servable), std::move(signature)));
  }
  /// A function of the host's, per row or per batch, as a servable of this name.
  template <class F, class Mode = detail::ExceptionMode>
    requires(DeducibleFunction<std::decay_t<F>>)
  Registry& add_function(const std::string& name, F&& f, NodeTraits traits = {}) {
    return add(name, Servable<InOf<std::decay_t<F>>, OutOf<std::decay_t<F>>>(
                         name, std::forward<F>(f), traits, Mode()));
  }
  /// Threads: `"executor": name`.
  Registry& add_executor(std::string name, Executor executor) {
    return add_value(std::move(name), std::move(executor));
  }
  /// Anything else that fields of type T name: a rule, a combiner, samples.
  template <std::copy_constructible T>
  Registry& add_value(std::string name, T value) {
    return add_thing({io::family<T>(), std::move(name)},
                     std::make_shared<const T>(std::move(value)));
  }

  // ---- what documents describe ----

  /// A kind of node: `{"kind": name, ...}`. K has `static Fields<K> fields()`, and `make()`, which
  /// gives the servable or a `Result` of it. Kinds of one name for several row types are one kind;
  /// which one is meant is found from the children and from what surrounds the node.
  template <class K, class Mode = detail::ExceptionMode>
  Registry& add_kind(std::string name);

  /// A way to make a T, as `AnyBatchPolicy`: `{"kind": name, ...}`, where a field is a T. K has
  /// `fields()`, or `io::Described<K>` has, and a T is made of a K; or K has `make()`, which gives
  /// the T or a `Result` of it.
  template <std::copy_constructible T, class K, class Mode = detail::ExceptionMode>
  Registry& add_policy(std::string name);

  // ---- row types ----

  /// All that galley has, for nodes that take In and give Out; and pipelines from In to Out whose
  /// stages meet at In, at Out or at one of Mids. Include <galley/io/graph/support.hpp>.
  template <class In, class Out, class... Mids>
  Registry& support() {
    if (add_support(io::row_types<In, Out>())) {
      io::detail::Support<In, Out>::add(*this);
    }
    return joints<In, Out, Mids...>();
  }
  /// Only the pipelines: for types between which a document has nothing else. Soon compiled, which
  /// all kinds are not.
  template <class In, class Out, class... Mids>
  Registry& joints() {
    join<In, In, Out>();
    join<In, Out, Out>();
    (join<In, Mids, Out>(), ...);
    return *this;
  }

  /// Ok, or the first thing that went wrong.
  Result<void> check() const {
    if (contents_.error.has_value()) return *contents_.error;
    return {};
  }

  const io::detail::Contents& contents() const noexcept { return contents_; }

 private:
  template <class In, class Mid, class Out>
  void join() {
    contents_.joints.try_emplace(
        {io::row_type<In>(), io::row_type<Mid>(), io::row_type<Out>()},
        [](const io::ErasedServable& a, const io::ErasedServable& b) {
          return io::ErasedServable::of(a.as<In, Mid>() | b.as<Mid, Out>());
        });
  }

  Registry& add_servable(std::string name, io::ErasedServable servable);
  Registry& add_thing(io::detail::ThingName name, std::shared_ptr<const void> value);
  Registry& add_overload(std::string name, io::Schema schema, io::detail::Overload overload);
  Registry& add_maker(io::detail::ThingName name, io::detail::Maker maker);
  /// False where it was there already.
  bool add_support(const io::RowTypes& rows);

  io::detail::Contents contents_;
};

// ---- implementation ----------------------------------------------------------------------------

template <class K, class Mode>
Registry& Registry::add_kind(std::string name) {
  using Made = io::detail::MadeOf<K>;
  using In = typename Made::input_type;
  using Out = typename Made::output_type;
  const auto fields = io::fields_of<K>();
  io::detail::Overload overload{
      .rows = io::row_types<In, Out>(), .children = {}, .fields = fields.list(), .make = {}};
  overload.make = [](const io::detail::FieldList& list,
                     const io::Reader& reader) -> Result<io::ErasedServable> {
    K read{};
    GALLEY_TRY(list.read(&read, reader));
    Result<Made> made = Mode::template call<Made>([&] { return std::move(read).make(); });
    if (!made.has_value()) return within(reader.path().to_text(), std::move(made).error());
    return io::ErasedServable::of(*std::move(made));
  };
  return add_overload(std::move(name), fields.schema(), std::move(overload));
}

template <std::copy_constructible T, class K, class Mode>
Registry& Registry::add_policy(std::string name) {
  const auto fields = io::fields_of<K>();
  io::detail::Maker maker{.schema = fields.schema(), .fields = fields.list(), .make = {}};
  maker.make = [](const io::detail::FieldList& list,
                  const io::Reader& reader) -> Result<std::shared_ptr<const void>> {
    K read{};
    GALLEY_TRY(list.read(&read, reader));
    Result<T> made = Mode::template call<T>([&]() -> Result<T> {
      if constexpr (requires { std::move(read).make(); }) {
        return std::move(read).make();
      } else {
        return T(std::move(read));
      }
    });
    if (!made.has_value()) return within(reader.path().to_text(), std::move(made).error());
    return std::shared_ptr<const void>(std::make_shared<const T>(*std::move(made)));
  };
  return add_maker({io::family<T>(), std::move(name)}, std::move(maker));
}

namespace io::detail {

/// Adds a policy, unless another pair of row types has brought it already.
template <class T, class K>
void add_policy_once(Registry& registry, const char* name) {
  if (registry.contents().makers.count({family<T>(), name}) == 0) {
    registry.add_policy<T, K>(name);
  }
}

}  // namespace io::detail

}  // namespace galley::inline v1
