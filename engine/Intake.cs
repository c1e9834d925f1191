using LlamaServe.Engine.Execution;
using LlamaServe.Engine.Requests;
using LlamaServe.Engine.Scheduling;
using LlamaServe.Engine.Text;

namespace LlamaServe.Engine;

/// <summary>The loop's way in: commands, and instants at which requests have to end.</summary>
internal sealed class Intake(LoopContext context, IModelRunner runner, LiveRequests live, Scheduler scheduler, OutputStage output)
{
    /// <summary>Carries out all commands and ends what is overdue.</summary>
    /// <returns>false to stop.</returns>
    public bool TakeIn()
    {
        bool isStopping = false;
        while (context.Commands.Reader.TryRead(out EngineCommand command))
        {
            isStopping |= command.Kind == EngineCommandKind.Stop;
            Apply(command);
        }
        long now = Now;
        while (live.NextExpired(now) is ActiveRequest expired)
        {
            output.FinishAll(expired, FinishReason.DeadlineExceeded, now);
        }
        while (live.NextTooSlow(now - context.SlowReaderTimeout) is ActiveRequest slow)
        {
            context.Log.SlowReader(slow.Id);
            output.FinishAll(slow, FinishReason.SlowReader, now);
        }
        return !isStopping;
    }

    /// <summary>Takes over a request of the loop's former life: what it knows is kept, what was computed is gone.</summary>
    public void Adopt(ActiveRequest request)
    {
        live.Add(request);
        foreach (Sample sample in request.Samples)
        {
            sample.Sequence.Status = SequenceStatus.Idle;
            sample.Sequence.ClearBlocks();
            DropWorkUnderWay(sample);
            sample.Sequence.LeaveBuffers();
        }
        long slots = (long)runner.Capacity.Blocks * context.Options.BlockSize;
        if (request.Faults > 1 || request.Samples[0].Sequence.Spec.MaxLength - 1 > slots)
        {
            output.FinishAll(request, FinishReason.Error, Now, "Steps with this request kept failing.");
            return;
        }
        foreach (Sample sample in request.Samples)
        {
            if (!sample.IsFinished && (sample.Index == 0 || request.IsForked))
            {
                scheduler.Add(sample.Sequence, Now);
            }
        }
    }

    private long Now => context.Time.GetTimestamp();

    /// <summary>Tokens and scores that the former life's last steps did not bring.</summary>
    private static void DropWorkUnderWay(Sample sample)
    {
        while (sample.Sequence.PendingCount > 0)
        {
            sample.Sequence.DropPending();
        }
        if (sample.Index == 0)
        {
            sample.Sequence.ScoredCount = Math.Max(0, (sample.Request.PromptLogProbs?.Count ?? 0) - 1);
        }
    }

    private void Apply(EngineCommand command)
    {
        ActiveRequest? request = command.Request;
        switch (command.Kind)
        {
            case EngineCommandKind.Add:
                Add(request!);
                break;
            case EngineCommandKind.Cancel when live.Contains(request!):
                output.FinishAll(request!, FinishReason.Cancelled, Now);
                break;
            case EngineCommandKind.Resume when live.Contains(request!):
                output.TryResume(request!, Now);
                break;
        }
    }

    private void Add(ActiveRequest request)
    {
        live.Add(request);
        if (request.IsCancelled)
        {
            output.FinishAll(request, FinishReason.Cancelled, Now);
            return;
        }
        if (request.NeedsText)
        {
            foreach (Sample sample in request.Samples)
            {
                sample.Text = new SampleText(runner.CreateTextDecoder(), request.Stops, request.Request.IncludeStop);
            }
        }
        scheduler.Add(request.Samples[0].Sequence, Now);
    }
}
