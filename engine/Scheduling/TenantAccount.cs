namespace LlamaServe.Engine.Scheduling;

/// <summary>What a tenant has been given: the virtual token counter of "Fairness in Serving Large Language Models" (OSDI 2024).</summary>
internal sealed class TenantAccount
{
    /// <summary>Weight of a generated token; a prompt token weighs 1.</summary>
    public const int OutputWeight = 2;

    /// <summary>Weighted tokens served, or the level it was lifted to.</summary>
    public long Served { get; private set; }

    /// <summary>Its sequences in the scheduler.</summary>
    public int ActiveSequences { get; set; }

    public void LiftTo(long served) => Served = Math.Max(Served, served);

    /// <summary>Charges the known tokens that will be computed for the first time; what the prefix cache gave is free.</summary>
    public void ChargePrompt(Sequence sequence, int hit)
    {
        Served += Math.Max(0, sequence.KnownCount - Math.Max(hit, sequence.ChargedCount));
        sequence.ChargedCount = sequence.KnownCount;
    }

    /// <summary>Charges the token that the sequence is about to get: its oldest pending one.</summary>
    public void ChargeOutput(Sequence sequence)
    {
        Served += OutputWeight;
        sequence.ChargedCount = sequence.KnownCount - sequence.PendingCount + 1;
    }
}

/// <summary>
/// The tenants' accounts. A tenant that comes (back) is lifted to the least served active one: being away earns no credit,
/// and being new gives no claim over those who wait.
/// </summary>
internal sealed class TenantAccounts
{
    /// <summary>Idle accounts are kept up to this many, so that leaving for a moment does not erase what was used.</summary>
    private const int MostKept = 4096;

    private readonly Dictionary<string, TenantAccount> _accounts = [];

    /// <summary>Adds an active sequence of the tenant.</summary>
    public TenantAccount Enter(string tenant)
    {
        if (!_accounts.TryGetValue(tenant, out TenantAccount? account))
        {
            DropIdle();
            account = new TenantAccount();
            _accounts.Add(tenant, account);
        }
        if (account.ActiveSequences++ == 0)
        {
            account.LiftTo(LeastServedExcept(account));
        }
        return account;
    }

    private long LeastServedExcept(TenantAccount newcomer)
    {
        long least = long.MaxValue;
        foreach (TenantAccount account in _accounts.Values)
        {
            if (account != newcomer && account.ActiveSequences > 0)
            {
                least = Math.Min(least, account.Served);
            }
        }
        return least == long.MaxValue ? 0 : least;
    }

    private void DropIdle()
    {
        if (_accounts.Count < MostKept)
        {
            return;
        }
        foreach ((string tenant, TenantAccount account) in _accounts)
        {
            if (account.ActiveSequences == 0)
            {
                _accounts.Remove(tenant);
            }
        }
    }
}
