using LlamaServe.Engine.Scheduling;

namespace LlamaServe.Engine.Tests.Support;

/// <summary>Lets a test decide how many steps the model computes.</summary>
internal sealed class StepGate : IDisposable
{
    private readonly SemaphoreSlim _steps = new(0);
    private volatile bool _isOpen;

    /// <summary>Waits for permission to compute.</summary>
    public void Pass(StepPlan plan)
    {
        if (!_isOpen && !_steps.Wait(TimeSpan.FromMinutes(5)))
        {
            throw new TimeoutException("the test let no step pass");
        }
    }

    public void Let(int steps) => _steps.Release(steps);

    public void Open()
    {
        _isOpen = true;
        _steps.Release(1000);
    }

    /// <summary>Opens, so that an engine that is being stopped does not wait.</summary>
    public void Dispose() => Open();
}
