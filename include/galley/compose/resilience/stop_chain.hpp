// StopChain: stop tokens of one's own that a caller's stop reaches too.
#pragma once

#include <galley/core/context.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <stop_token>

namespace galley::inline v1::detail {

/// Gives each request of a context another stop token, which is stopped by the request's own and by
/// `request_stop`.
///
/// Destroyed not under a lock: it waits for a stop that is being handed on by another thread.
///
/// Cost  two allocations for a request
class StopChain {
 public:
  explicit StopChain(OwnedBatchContext& context) {
    context.each([this](Context&) { ++count_; });
    links_ = std::make_unique<Link[]>(count_);
    Link* next = links_.get();
    context.each([&next](Context& each) {
      Link& link = *next++;
      if (each.stop.stop_possible()) link.from.emplace(std::move(each.stop), HandOn{&link.own});
      each.stop = link.own.get_token();
    });
  }
  StopChain(const StopChain&) = delete;
  StopChain& operator=(const StopChain&) = delete;

  void request_stop() noexcept {
    for (std::size_t i = 0; i < count_; ++i) links_[i].own.request_stop();
  }

 private:
  struct HandOn {
    std::stop_source* to;
    void operator()() const noexcept {
      std::stop_source keep(*to);  // who is told may end the chain
      keep.request_stop();
    }
  };
  struct Link {
    std::stop_source own;
    std::optional<std::stop_callback<HandOn>> from;
  };

  std::size_t count_ = 0;
  std::unique_ptr<Link[]> links_;
};

}  // namespace galley::inline v1::detail
