// AnyCheck: checks that are chosen while the program runs.
#pragma once

#include <galley/policy/check.hpp>

#include <algorithm>
#include <concepts>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1 {

/// One of several checks of rows of In, as read from a configuration; by default every row is fit.
///
/// Copies share the check, which is never changed.
///
/// Cost    a call through a pointer more than the check itself
/// Example tests/policy/check/any_test.cpp
template <class In>
class AnyCheck {
 public:
  AnyCheck() : AnyCheck(Fit()) {}
  template <class C>
    requires(!std::same_as<C, AnyCheck> && detail::AsksCheck<C, In> && RowCheck<C, In>)
  AnyCheck(C check)  // NOLINT: stands for the check
      : check_(std::make_shared<const C>(std::move(check))), table_(&table_of<C>) {}

  Result<void> check(const In& row) const { return table_->check(check_.get(), row); }
  bool passes(const Rows<In>& rows) const { return table_->passes(check_.get(), rows); }
  std::string text() const { return table_->text(check_.get()); }

 private:
  struct Fit {
    bool check(const In&) const { return true; }
    bool passes(const Rows<In>&) const { return true; }
    std::string text() const { return "nothing"; }
  };
  struct Table {
    Result<void> (*check)(const void*, const In&);
    bool (*passes)(const void*, const Rows<In>&);
    std::string (*text)(const void*);
  };
  template <class C>
  static const C& of(const void* check) {
    return *static_cast<const C*>(check);
  }
  template <class C>
  static constexpr Table table_of{
      .check = [](const void* c, const In& row) { return check_row(of<C>(c), row); },
      .passes = [](const void* c, const Rows<In>& rows) { return passes_rows(of<C>(c), rows); },
      .text = [](const void* c) { return detail::check_text(of<C>(c)); }};

  std::shared_ptr<const void> check_;
  const Table* table_;
};

/// Every one of any number of checks finds the row fit; the error is the first's that does not.
template <class In>
struct AllOfAny {
  std::vector<AnyCheck<In>> checks;

  Result<void> check(const In& row) const {
    for (const AnyCheck<In>& one : checks) GALLEY_TRY(one.check(row));
    return {};
  }
  bool passes(const Rows<In>& rows) const {
    return std::ranges::all_of(checks, [&](const auto& one) { return one.passes(rows); });
  }
  std::string text() const {
    std::string all;
    for (const AnyCheck<In>& one : checks) {
      const std::string text = one.text();
      all.append(all.empty() ? "" : ", ").append(text.empty() ? "a function" : text);
    }
    return all;
  }
};

}  // namespace galley::inline v1
