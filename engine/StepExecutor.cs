using LlamaServe.Engine.Execution;
using LlamaServe.Engine.Requests;
using LlamaServe.Engine.Scheduling;
using LlamaServe.Kernels;

namespace LlamaServe.Engine;

/// <summary>
/// Computes a plan and commits it. A plan whose step throws is tried again in halves, down to the single sequences that
/// make it throw: their requests fail, all others get their tokens.
/// </summary>
internal sealed class StepExecutor(
    LoopContext context, IModelRunner runner, StepWatch watch, StepMeter meter, StepCommitter committer, OutputStage output)
{
    /// <returns>false when the loop was given up meanwhile; nothing may be touched then.</returns>
    public bool TryRun(StepPlan plan)
    {
        if (!TryCompute(plan, out SamplingBatch? results, out Exception? fault))
        {
            return false;
        }
        if (fault is null)
        {
            committer.Commit(plan, results!, meter.Started, Now);
            return true;
        }
        if (plan.Count == 1)
        {
            ActiveRequest culprit = ((Sample)plan.Slices[0].Sequence.Owner!).Request;
            context.Log.RequestFailed(culprit.Id, fault);
            output.FinishAll(culprit, FinishReason.Error, Now, "The model failed on this request.");
            return true;
        }
        context.Log.StepFailed(plan.Count, fault);
        foreach (StepPlan half in plan.Halves())
        {
            half.RemoveFinished();
            if (!half.IsEmpty && !TryRun(half))
            {
                return false;
            }
            // Should the next half hang, this one's tokens are with their readers.
            output.Publish(Now);
        }
        return true;
    }

    private long Now => context.Time.GetTimestamp();

    private bool TryCompute(StepPlan plan, out SamplingBatch? results, out Exception? fault)
    {
        results = null;
        fault = null;
        long started = Now;
        watch.Begin(started);
        try
        {
            results = runner.Execute(plan);
        }
        catch (Exception exception) when (exception is not DeviceException { IsLost: true })
        {
            fault = exception;
        }
        if (!watch.TryEnd())
        {
            return false;
        }
        meter.AddExecution(started);
        return true;
    }
}
