// An executor is made from what offers threads and time.
// expect: ExecutorImpl
#include <galley/core/executor.hpp>
#include <galley/testing/manual_executor.hpp>

#include <memory>

const galley::Executor right = galley::ManualExecutor();
#ifdef GALLEY_MISTAKE
const galley::Executor wrong(std::make_shared<int>(3));
#endif
