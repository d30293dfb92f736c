// AnyCombiner: a combiner that is chosen while the program runs.
#pragma once

#include <galley/policy/combine.hpp>
#include <galley/policy/combine/first.hpp>

#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

namespace galley::inline v1 {

/// One of several combiners that make a Mid of votes of Mid, as read from a configuration; by
/// default `First`.
///
/// Copies share the combiner, which is never changed.
///
/// Cost    a call through a pointer more than the combiner itself
/// Example tests/policy/combine/any_test.cpp
template <class Mid>
class AnyCombiner {
 public:
  AnyCombiner() : AnyCombiner(First()) {}
  template <class C>
    requires(!std::same_as<C, AnyCombiner> && Combiner<C, Mid> &&
             std::same_as<CombinedOf<C, Mid>, Mid>)
  AnyCombiner(C combiner)  // NOLINT: stands for the combiner
      : combiner_(std::make_shared<const C>(std::move(combiner))), table_(&table_of<C>) {}

  Result<Mid> combine(const Votes<Mid>& votes) const {
    return table_->combine(combiner_.get(), votes);
  }
  std::optional<Rows<Mid>> combine_rows(const BatchVotes<Mid>& votes) const {
    return table_->combine_rows(combiner_.get(), votes);
  }
  bool decided(const Votes<Mid>& votes) const { return table_->decided(combiner_.get(), votes); }
  Result<void> check(std::size_t members) const { return table_->check(combiner_.get(), members); }
  /// Of the combiner within; empty where it has none.
  std::string_view name() const { return table_->name; }
  OptionTexts options() const { return table_->options(combiner_.get()); }

 private:
  struct Table {
    std::string_view name;
    Result<Mid> (*combine)(const void*, const Votes<Mid>&);
    std::optional<Rows<Mid>> (*combine_rows)(const void*, const BatchVotes<Mid>&);
    bool (*decided)(const void*, const Votes<Mid>&);
    Result<void> (*check)(const void*, std::size_t);
    OptionTexts (*options)(const void*);
  };
  template <class C>
  static const C& of(const void* combiner) {
    return *static_cast<const C*>(combiner);
  }
  template <class C>
  static constexpr std::string_view name_of() {
    if constexpr (requires { std::string_view(C::name); }) {
      return C::name;
    } else {
      return {};
    }
  }
  template <class C>
  static OptionTexts options_of(const C& combiner) {
    if constexpr (requires { combiner.options(); }) {
      return combiner.options();
    } else {
      return {};
    }
  }
  template <class C>
  static constexpr Table table_of{
      .name = name_of<C>(),
      .combine = [](const void* c, const Votes<Mid>& votes) -> Result<Mid> {
        return detail::CombineCall<detail::ExceptionMode>::combine(of<C>(c), votes);
      },
      .combine_rows = [](const void* c, const BatchVotes<Mid>& votes) -> std::optional<Rows<Mid>> {
        if constexpr (CombinesBatches<C, Mid>) {
          return of<C>(c).combine_rows(votes);
        } else {
          return std::nullopt;
        }
      },
      .decided =
          [](const void* c, const Votes<Mid>& votes) {
            if constexpr (DecidesEarly<C, Mid>) {
              return of<C>(c).decided(votes);
            } else {
              return false;
            }
          },
      .check = [](const void* c, std::size_t members) -> Result<void> {
        if constexpr (requires { of<C>(c).check(members); }) {
          return of<C>(c).check(members);
        } else {
          return {};
        }
      },
      .options = [](const void* c) { return options_of(of<C>(c)); }};

  std::shared_ptr<const void> combiner_;
  const Table* table_;
};

}  // namespace galley::inline v1
