import sys; sys.path.insert(0,'/tmp/w')
import tr
from tr import *
from torch import nn
from torch.nn.utils import parametrize
class Right(nn.Module):
    def __init__(self,M): super().__init__(); self.register_buffer("M",M)
    def forward(self,V): return V@self.M
def whitener(m,t,power=1.0):
    d=len(m.graph); n=m.latent_dims; M=torch.eye(n)
    f=t.factors; c=[i for i in range(d) if t.kinds[m.graph.nodes[i]]=="continuous"]; b=[i for i in range(d) if i not in c]
    z=(f[:,c]-f[:,c].mean(0))/f[:,c].std(0); S=torch.cov(z.T); w,v=torch.linalg.eigh(S)
    K=v@torch.diag(w**-.5)@v.T
    for a,i in enumerate(c):
        for e,j in enumerate(c): M[i,j]=K[a,e]*power
    for i in b: M[i,i]=.5
    return M
def train2(name,kl=1.0,sup=60.,lik=5.,w=6.0,extra=32,lr=4e-3,epochs=5,lrec=1.0,seed=100,deep=0,power=1.0,copies=6,bs=64):
    t,te=data(seed,copies); torch.manual_seed(seed)
    if deep:
        from caufvae_lite.studies import scoreboard
        r=scoreboard.with_controls()["DeepSCM"]; m=r.model(te.graph,(1,32,32),extra_dims=extra,**r.options)
    else:
        m=CT(te.graph,(1,32,32),supervision=sup,label_likelihood=lik,kl_weight=kl,extra_dims=extra,covariance="full",label_reconstruction=lrec); m.weight=w
    lin=[x for x in m.decoder.modules() if isinstance(x,nn.Linear)][0]
    M=whitener(m,t,power); V=lin.weight.data.clone()
    parametrize.register_parametrization(lin,"weight",Right(M),unsafe=True)
    lin.parametrizations.weight.original.data=V
    cl.fit(m,t,epochs=epochs,seed=seed,batch_size=bs,lr=lr,device="cpu",progress=False,calibrate=False)
    parametrize.remove_parametrizations(lin,"weight")
    torch.save(m.state_dict(),f'/tmp/w/m2_{name}.pt'); return m
def slope(m,te):
    s=te.rows(slice(0,200))
    for t in (1.5,2.5,3.5):
        print(t,[f"{te.measure(m.counterfactual(s.images,dict(thickness=t,intensity=float(i))).images)[:,1].nanmean():.0f}" for i in (70,100,130,160,190,220,250)])
if __name__=="__main__":
    for spec in sys.argv[1:]:
        kw=dict(kv.split("=") for kv in spec.split(",")); 
        kw={k:(int(v) if k in("extra","epochs","deep","copies","bs") else float(v)) for k,v in kw.items()}
        t=time.time(); m=train2(spec,**kw); print(time.time()-t); slope(m,data()[1]); rep(m,spec)
