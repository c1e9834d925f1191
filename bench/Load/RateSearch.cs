namespace LlamaServe.Bench.Load;

/// <summary>The largest rate of arrivals at which a constraint holds.</summary>
internal static class RateSearch
{
    /// <summary>Doubles the rate until it no longer holds, then halves the interval.</summary>
    /// <param name="holds">Measures at a rate.</param>
    /// <param name="first">The first rate tried; above 0.</param>
    /// <param name="precision">Where to stop: the interval's width over its upper end.</param>
    /// <returns>The largest rate that held; 0 when none did down to 1/1024 of the first.</returns>
    public static async Task<double> FindAsync(Func<double, Task<bool>> holds, double first, double precision)
    {
        double low = first, high = first;
        if (await holds(first))
        {
            do
            {
                low = high;
                high *= 2;
            }
            while (await holds(high));
        }
        else
        {
            do
            {
                high = low;
                low /= 2;
                if (low < first / 1024)
                {
                    return 0;
                }
            }
            while (!await holds(low));
        }

        while (high - low > precision * high)
        {
            double middle = (low + high) / 2;
            (low, high) = await holds(middle) ? (middle, high) : (low, middle);
        }

        return low;
    }
}
