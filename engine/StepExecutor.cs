using LlamaServe.Engine.Execution;
using LlamaServe.Engine.Requests;
using LlamaServe.Engine.Scheduling;
using LlamaServe.Kernels;

namespace LlamaServe.Engine;

/// <summary>
/// Computes plans and commits them. Where the runner overlaps steps, a plan is started before the one ahead of it is finished:
/// <code>
/// host:    plan 1 | start 1 | plan 2 | start 2 | wait, commit 1 | plan 3 | start 3 | wait, commit 2
/// device:                   |--------- 1 ---------|--------- 2 ---------|--------- 3 ---
/// </code>
/// A plan whose step throws is tried again in halves with nothing else under way, down to the single sequences that make it
/// throw: their requests fail, all others get their tokens.
/// </summary>
internal sealed class StepExecutor(
    LoopContext context, IModelRunner runner, StepWatch watch, StepMeter meter, StepCommitter committer, OutputStage output)
{
    private readonly StepPlan[] _plans = [new(context.Options.MaxSequences), new(context.Options.MaxSequences)];
    private StepPlan? _underWay;
    private int _next;

    /// <summary>The plan to fill for the next step.</summary>
    public StepPlan Next => _plans[_next];

    /// <summary>Whether a step is under way.</summary>
    public bool IsBusy => _underWay is not null;

    /// <summary>The plans whose steps may be under way.</summary>
    public IReadOnlyList<StepPlan> Plans => _plans;

    /// <summary>Starts the next plan, unless it is empty, and finishes the one ahead of it, or itself where steps do not overlap.</summary>
    /// <param name="done">The plan that was finished; null for none.</param>
    /// <returns>false when the loop was given up meanwhile; nothing may be touched then.</returns>
    public bool TryStep(out StepPlan? done)
    {
        StepPlan plan = Next;
        Exception? fault = null;
        done = _underWay;
        _underWay = null;
        if (!plan.IsEmpty && !TrySubmit(plan, out fault))
        {
            return false;
        }
        if (!plan.IsEmpty && fault is null)
        {
            StepProgress.Advance(plan);
            if (runner.Overlaps)
            {
                _underWay = plan;
                _next ^= 1;
            }
            else
            {
                done = plan;
            }
        }
        if (done is not null && !TryFinish(done))
        {
            return false;
        }
        if (fault is null)
        {
            return true;
        }
        done = plan;
        return TryAgain(plan, fault);
    }

    private long Now => context.Time.GetTimestamp();

    private bool TryFinish(StepPlan plan)
    {
        if (!TryComplete(out SamplingBatch? results, out Exception? fault))
        {
            return false;
        }
        if (fault is null)
        {
            committer.Commit(plan, results!, Now);
            return true;
        }
        if (_underWay is { } later)
        {
            // It stands on tokens that never came.
            if (!TryComplete(out _, out _))
            {
                return false;
            }
            StepProgress.Rewind(later);
            _underWay = null;
        }
        StepProgress.Rewind(plan);
        return TryAgain(plan, fault);
    }

    private bool TryAgain(StepPlan plan, Exception fault)
    {
        plan.RemoveGone();
        if (plan.Count == 1)
        {
            ActiveRequest culprit = ((Sample)plan.Slices[0].Sequence.Owner!).Request;
            context.Log.RequestFailed(culprit.Id, fault);
            output.FinishAll(culprit, FinishReason.Error, Now, "The model failed on this request.");
        }
        if (plan.Count <= 1)
        {
            return true;
        }
        context.Log.StepFailed(plan.Count, fault);
        foreach (StepPlan half in plan.Halves())
        {
            half.RemoveGone();
            if (!half.IsEmpty && !TryAlone(half))
            {
                return false;
            }
            // Should the next half hang, this one's tokens are with their readers.
            output.Publish(Now);
        }
        return true;
    }

    private bool TryAlone(StepPlan plan)
    {
        SamplingBatch? results = null;
        if (!TrySubmit(plan, out Exception? fault) || (fault is null && !TryComplete(out results, out fault)))
        {
            return false;
        }
        if (fault is not null)
        {
            return TryAgain(plan, fault);
        }
        StepProgress.Advance(plan);
        committer.Commit(plan, results!, Now);
        return true;
    }

    private bool TrySubmit(StepPlan plan, out Exception? fault)
    {
        fault = null;
        long started = Enter();
        try
        {
            runner.Submit(plan);
        }
        catch (Exception exception) when (exception is not DeviceException { IsLost: true })
        {
            fault = exception;
        }
        return TryLeave(started, isModel: !runner.Overlaps);
    }

    private bool TryComplete(out SamplingBatch? results, out Exception? fault)
    {
        (results, fault) = (null, null);
        long started = Enter();
        try
        {
            results = runner.Complete();
        }
        catch (Exception exception) when (exception is not DeviceException { IsLost: true })
        {
            fault = exception;
        }
        return TryLeave(started, isModel: true);
    }

    private long Enter()
    {
        long now = Now;
        watch.Begin(now);
        return now;
    }

    /// <param name="isModel">Whether the time since <paramref name="started"/> was the model's. To start a step that overlaps is the host's work.</param>
    private bool TryLeave(long started, bool isModel)
    {
        if (!watch.TryEnd())
        {
            return false;
        }
        if (isModel)
        {
            meter.AddExecution(started);
        }
        return true;
    }
}
