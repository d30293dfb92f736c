// What a user writes for `expand`: how a row becomes items, and what became of them a row.
#pragma once

#include <galley/core/assert.hpp>
#include <galley/core/batch.hpp>
#include <galley/core/outcomes.hpp>
#include <galley/core/result.hpp>
#include <galley/core/rows.hpp>

#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

namespace galley::inline v1 {

struct ExpandOptions {
  /// The most items of one row; a row of more fails alone, with `invalid_argument`.
  std::size_t max_items = 256;
  /// The most items that are handed on at once. A batch of rows of which another row's items might
  /// not find room goes on in several batches, one after another, with whole rows in each.
  std::size_t max_batch = 4096;
};

/// What became of the items of one row, in their order: a view, valid within the call that gets it.
template <class T>
class ItemOutcomes {
 public:
  using Reference = typename Outcomes<T>::Reference;

  /// Items `first` to `first + count - 1` of `all`.
  ItemOutcomes(const Outcomes<T>& all, std::size_t first, std::size_t count) noexcept
      : all_(&all), first_(first), count_(count) {
    GALLEY_ASSERT(first + count <= all.size());
  }

  std::size_t size() const noexcept { return count_; }
  bool empty() const noexcept { return count_ == 0; }

  /// What became of item i. O(log failed items of the batch).
  Reference operator[](std::size_t i) const noexcept {
    GALLEY_ASSERT(i < count_);
    return (*all_)[first_ + i];
  }

  /// How many items before item i failed; of all with `failed(size())`.
  std::size_t failed(std::size_t i) const noexcept {
    return all_->casualties().before(first_ + i) - all_->casualties().before(first_);
  }

 private:
  const Outcomes<T>* all_;
  std::size_t first_;
  std::size_t count_;
};

namespace detail {

template <class Answer, class Item>
inline constexpr bool is_items =
    std::same_as<Answer, Rows<Item>> || std::same_as<Answer, std::vector<Item>> ||
    std::same_as<Answer, Result<Rows<Item>>> || std::same_as<Answer, Result<std::vector<Item>>>;

template <class F, class In>
using SplitAnswer = std::remove_cvref_t<std::invoke_result_t<const F&, const In&>>;

/// The items of one row as a batch.
template <class Item>
Rows<Item> items_of(Rows<Item> items) {
  return items;
}
template <class Item>
Rows<Item> items_of(std::vector<Item> items) {
  Rows<Item> rows;
  rows.reserve(items.size());
  for (Item& item : items) rows.push_back(std::move(item));
  return rows;
}
template <class Items>
auto items_of(Result<Items> items) -> Result<decltype(items_of(*std::move(items)))> {
  if (!items.has_value()) return std::move(items).error();
  return items_of(*std::move(items));
}

/// How a collapse takes the items of a row: their values as a view or as rows, or their outcomes.
enum class CollapseForm { none, values, rows, outcomes };

template <class F, class In, class Found>
consteval CollapseForm collapse_form() {
  if constexpr (std::invocable<const F&, const In&, const Batch<Found>&>) {
    return CollapseForm::values;
  } else if constexpr (std::invocable<const F&, const In&, Rows<Found>>) {
    return CollapseForm::rows;
  } else if constexpr (std::invocable<const F&, const In&, const ItemOutcomes<Found>&>) {
    return CollapseForm::outcomes;
  } else {
    return CollapseForm::none;
  }
}

template <class F, class In, class Found>
consteval auto collapse_answer() {
  constexpr CollapseForm form = collapse_form<F, In, Found>();
  if constexpr (form == CollapseForm::values) {
    return std::type_identity<std::invoke_result_t<const F&, const In&, const Batch<Found>&>>();
  } else if constexpr (form == CollapseForm::rows) {
    return std::type_identity<std::invoke_result_t<const F&, const In&, Rows<Found>>>();
  } else {
    return std::type_identity<
        std::invoke_result_t<const F&, const In&, const ItemOutcomes<Found>&>>();
  }
}

template <class F, class In, class Found>
using CollapseAnswer =
    std::remove_cvref_t<typename decltype(collapse_answer<F, In, Found>())::type>;

}  // namespace detail

/// `Rows<Item> f(const In&)`, also `std::vector<Item>` or a `Result` of either: the items of one
/// row, none or many. Must be callable through const.
template <class F, class In, class Item>
concept SplitsInto = std::move_constructible<F> && std::invocable<const F&, const In&> &&
                     detail::is_items<detail::SplitAnswer<F, In>, Item>;

/// `Out f(const In&, const Rows<Found>&)` or `Result<Out>`, also from `Batch<Found>`: what was
/// found for all items of a row as one answer; or from `ItemOutcomes<Found>`, which shows failed
/// items too. Must be callable through const.
template <class F, class In, class Found>
concept CollapsesFrom = std::move_constructible<F> &&
                        (detail::collapse_form<F, In, Found>() != detail::CollapseForm::none);

}  // namespace galley::inline v1
