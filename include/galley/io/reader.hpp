// Reader: a value of a graph's document while the graph is being built of it.
#pragma once

#include <galley/core/assert.hpp>
#include <galley/core/result.hpp>
#include <galley/core/servable.hpp>
#include <galley/io/schema.hpp>
#include <galley/io/value.hpp>

#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

namespace galley::inline v1::io {

/// A servable whose row types are known at run time.
struct ErasedServable {
  RowTypes rows;
  /// A `Servable` of those.
  std::shared_ptr<const void> servable;
  /// The servable's node.
  std::shared_ptr<const NodeHeader> node;
  /// Names, dtypes, shapes and devices of what goes in and comes out, where known. Either side may
  /// be left empty.
  std::shared_ptr<const Signature> signature;

  template <class In, class Out>
  static ErasedServable of(Servable<In, Out> servable,
                           std::shared_ptr<const Signature> signature = nullptr) {
    std::shared_ptr<const NodeHeader> node = servable.shared_node();
    return {row_types<In, Out>(), std::make_shared<const Servable<In, Out>>(std::move(servable)),
            std::move(node), std::move(signature)};
  }
  /// The servable, which is of these types.
  template <class In, class Out>
  const Servable<In, Out>& as() const {
    GALLEY_ASSERT((rows == row_types<In, Out>()));
    return *static_cast<const Servable<In, Out>*>(servable.get());
  }
};

/// What a document must give: there is no default. Empty only until it was read.
template <class T>
class Required {
 public:
  using value_type = T;
  Required() = default;
  Required(T value) : value_(std::move(value)) {}  // NOLINT: stands for the value

  bool has_value() const noexcept { return value_.has_value(); }
  const T& operator*() const& noexcept {
    GALLEY_ASSERT(value_.has_value());
    return *value_;
  }
  T&& operator*() && noexcept {
    GALLEY_ASSERT(value_.has_value());
    return *std::move(value_);
  }
  const T* operator->() const noexcept { return &**this; }

 private:
  std::optional<T> value_;
};

namespace detail {
class GraphBuilder;
}

/// A value of a document, where it is, and what builds the graph.
class Reader {
 public:
  Reader(const Value& value, const Path& path, detail::GraphBuilder& builder) noexcept
      : value_(value), path_(path), builder_(builder) {}

  const Value& value() const noexcept { return value_; }
  const Path& path() const noexcept { return path_; }
  /// A part of it.
  Reader below(const Value& value, const Path& path) const noexcept {
    return Reader(value, path, builder_);
  }

  /// The node that this describes.
  ///
  /// Errors  of other row types than `wanted`, or whatever keeps it from being built
  Result<ErasedServable> servable(const RowTypes& wanted) const;

  /// The thing of a family that this names or describes.
  Result<std::shared_ptr<const void>> named(const Family& family) const;

  /// True where this names or describes a thing of this family.
  bool names(const Family& family) const;

  Error wrong(std::string_view wanted) const { return path_.wrong(wanted, value_); }

 private:
  const Value& value_;
  const Path& path_;
  detail::GraphBuilder& builder_;
};

}  // namespace galley::inline v1::io
