// The servables that a checked document describes.
#pragma once

#include <galley/core/result.hpp>
#include <galley/core/signature.hpp>
#include <galley/io/reader.hpp>
#include <galley/io/registry.hpp>
#include <galley/io/schema.hpp>
#include <galley/io/value.hpp>

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace galley::inline v1::io::detail {

/// Builds nodes from the leaves up, definitions when they are first used.
///
/// *Row types.* What surrounds a node may know what it takes or gives; of the overloads of its kind
/// those remain that fit, and then those that fit the children, which are built once. In the end
/// one is left.
class GraphBuilder {
 public:
  /// The document was checked by `DocumentCheck`.
  GraphBuilder(const Contents& registry, const Value& document)
      : registry_(registry), document_(document) {}

  Result<ErasedServable> build(const RowTypes& wanted) {
    return build_node(document_, Path(), wanted);
  }

  // For readers.
  Result<ErasedServable> servable(const Value& value, const Path& path, const RowTypes& wanted);
  Result<std::shared_ptr<const void>> named(const Value& value, const Path& path,
                                            const Family& family);
  bool names(const Value& value, const Family& family) const;

 private:
  using Overloads = std::vector<const Overload*>;

  Result<ErasedServable> build_node(const Value& node, const Path& path, const RowTypes& wanted);
  Result<ErasedServable> use(const std::string& name, const Path& path, const RowTypes& wanted);
  Result<ErasedServable> build_kind(const Value& node, const std::string& name, const Path& path,
                                    const RowTypes& wanted);
  Result<void> build_children(const Value* value, const Schema& schema, const Path& path,
                              std::size_t& slot, Overloads& left);
  Result<ErasedServable> build_child(const Value& value, const Path& path, std::size_t slot,
                                     Overloads& left);
  Result<void> finish(const Value& node, const Schema& schema, const Path& path,
                      ErasedServable& made) const;
  Result<std::vector<TensorSpec>> specs_of(const Value& node, const std::string& field,
                                           const Path& path,
                                           std::vector<TensorSpec> Signature::*side) const;
  void collect(const Value& value, std::vector<const ErasedServable*>& into) const;

  Result<ErasedServable> build_pipeline(const Value& node, const Path& path,
                                        const RowTypes& wanted);
  Result<ErasedServable> join(const std::vector<ErasedServable>& stages, const Path& path) const;
  const Joint* joint(const RowType& in, const RowType& mid, const RowType& out) const;

  const Contents& registry_;
  const Value& document_;
  std::map<std::string, ErasedServable> definitions_;
  std::map<const Value*, ErasedServable> built_;
};

}  // namespace galley::inline v1::io::detail
